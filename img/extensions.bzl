"""Module extensions."""

load("//img/private/repo:images.bzl", _images = "images")
load("//img/private/repo:tool.bzl", _prebuilt_img_tool = "prebuilt_img_tool")

images = _images
prebuilt_img_tool = _prebuilt_img_tool
