"""The toolchain that holds the img tool, for users who bring their own.

* `TOOLCHAIN_TYPE` (str): the toolchain type of the tool that actions run, found for the execution platform.
* `DATA_TOOLCHAIN_TYPE` (str): that of the tool that a run target becomes, found for the platform that runs it.

```starlark
image_toolchain(
    name = "my_img",
    tool_exe = "//third_party:img_linux_amd64",
)

toolchain(
    name = "my_img_toolchain",
    exec_compatible_with = ["@platforms//os:linux", "@platforms//cpu:x86_64"],
    toolchain = ":my_img",
    toolchain_type = "@rules_img//img:toolchain_type",
)
```
"""

load("//img/private:toolchain.bzl", _image_toolchain = "image_toolchain")

TOOLCHAIN_TYPE = str(Label("//img:toolchain_type"))
DATA_TOOLCHAIN_TYPE = str(Label("//img:data_toolchain_type"))

image_toolchain = _image_toolchain
