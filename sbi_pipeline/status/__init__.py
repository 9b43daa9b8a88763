"""How far a study is, from its files alone: what `sbi-pipeline status` shows.

What is made is told by receipts, journals and specifications, what is at work by the files that
jobs write beside their logs (`job_reports`), what waits by the plan. Nothing is written and no
process is asked, so it is the same from any machine that sees the files.
"""
