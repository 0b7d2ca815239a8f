"""The bridges that containers are on, and what this host's firewall lets out of them."""
