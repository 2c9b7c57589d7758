"""What a device is likely to read soon: learnt from what devices read, and from names.

``Model`` is the whole of it in plain Python, to be replayed over a trace;
``store/redis/lua/predict_observe.lua`` does the same to the last digit.
"""
