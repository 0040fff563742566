"""The tool that run targets become."""

load("//img/private/rules:deploy_tool.bzl", _img_deploy_tool = "img_deploy_tool")

img_deploy_tool = _img_deploy_tool
