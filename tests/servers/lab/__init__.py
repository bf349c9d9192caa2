"""Private, real mail servers for tests and benchmarks: started in a temporary folder on free loopback
ports, filled and read back over raw sockets, and always stopped by the process ids that were recorded.

Start reading at dovecot.py (a server), imap.py (the raw client), compare.py (what "equal" means).
"""
