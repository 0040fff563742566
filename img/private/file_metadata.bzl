"""file_metadata: metadata of entries of a layer."""

visibility("//img")

def file_metadata(mode = None, uid = None, gid = None, uname = None, gname = None, mtime = None, pax_records = None):
    """Describes metadata for `image_layer`'s `default_metadata` and `file_metadata`.

    Args:
      mode: (str) permission bits in octal, such as "0644" or "4755"; anything else is an error when the layer is made.
      uid: (int) numeric owner, not negative.
      gid: (int) numeric group, not negative.
      uname: (str) name of the owner.
      gname: (str) name of the group.
      mtime: (str) modification time, RFC 3339, such as "2024-01-31T12:00:00Z".
      pax_records: (dict) PAX extended header records, such as `SCHILY.xattr.user.name`. Those of `SCHILY.xattr.security.` are
        binary: each character from `\\0` to `\\377` is one byte.

    Returns:
      A JSON string with the given fields and no others.
    """
    fields = {
        "mode": mode,
        "uid": uid,
        "gid": gid,
        "uname": uname,
        "gname": gname,
        "mtime": mtime,
        "pax_records": pax_records,
    }
    return json.encode({k: v for k, v in fields.items() if v != None})
