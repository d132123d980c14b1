raise SystemExit("to be written")
