"""The HTTP service: checks who is calling, commits to the database, answers.

It never calls Nova, Heat or Gnocchi: what takes long is a worker's.
"""
