# SPDX-License-Identifier: Apache-2.0
"""Image encodings, compressed images, colour, palettes and contrast.

This package uses numpy and OpenCV only. Arrays are `uint8` HxWx3 for colour and HxW for grey; a
thermal frame is HxW in its sensor's type until its tone is mapped.
"""
