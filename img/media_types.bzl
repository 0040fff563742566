"""Media types of layers, from the OCI image specification.

* `UNCOMPRESSED_LAYER`: `application/vnd.oci.image.layer.v1.tar`
* `GZIP_LAYER`: `application/vnd.oci.image.layer.v1.tar+gzip`
* `ZSTD_LAYER`: `application/vnd.oci.image.layer.v1.tar+zstd`
"""

UNCOMPRESSED_LAYER = "application/vnd.oci.image.layer.v1.tar"
GZIP_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD_LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
