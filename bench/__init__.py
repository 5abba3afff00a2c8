"""What guestnet costs, measured: `make bench`. Each table is a module in `tables/` that returns a `Table`.

Everything runs in a throw-away lab with the product's own texts: its hook, its compiled data, its firewall table.
"""
