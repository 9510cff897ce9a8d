"""What a spreadsheet would run, or might."""

FORMULAS = [
    "=1+1", "=SUM(A1:A9)", '=HYPERLINK("http://example.com","x")', "=cmd|'/C calc'!A0", "==1", "=", "= 1",
    "+1", "+1+1", "+cmd|'/C calc'!A0", "+", "-1", "-2+3", "-cmd|'/C calc'!A0", "-", "--1",
    "@SUM(1+1)", "@", "@A1", "\t=1+1", "\t", "\t\t@x", "\r=1+1", "\r\n=1+1", "\n=1+1", " =1+1",
    "\uff1d1+1", "\uff0b1", "\uff20SUM(1)", "%0A=1+1",
]  # fmt: skip
