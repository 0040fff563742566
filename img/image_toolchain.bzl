"""The toolchain that holds the img tool, for users who bring their own."""

load("//img/private:toolchain.bzl", _image_toolchain = "image_toolchain")

TOOLCHAIN_TYPE = str(Label("//img:toolchain_type"))
DATA_TOOLCHAIN_TYPE = str(Label("//img:data_toolchain_type"))

image_toolchain = _image_toolchain
