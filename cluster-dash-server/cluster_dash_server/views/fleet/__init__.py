"""The fleet as one model: a row of JSON per host, from which the pages' stream, the JSON, the text and the search for
free GPUs all come.
"""
