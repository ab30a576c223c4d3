"""Rows in and out, by concept. Functions take the open transaction; none of them opens one."""
