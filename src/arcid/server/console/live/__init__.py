"""What stays open while a page is: sockets and the feeds behind them."""
