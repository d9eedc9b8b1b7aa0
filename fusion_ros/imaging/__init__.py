# SPDX-License-Identifier: Apache-2.0
"""From a sensor's bytes to the network's pictures: encodings, tone, registration, colour.

This room knows numpy and OpenCV, and nothing of networks or ROS. Arrays are `uint8` HxWx3 for
colour and HxW for grey; a thermal frame is HxW in its sensor's own type until its tone is mapped.
"""
