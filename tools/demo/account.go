package main

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// account prints the layers and what moved, and fails if more moved than must.
func account(base image, made checked, pulled, pushed traffic) error {
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "platform\tlayer\tsize\tcompressed\twhere the bytes came from")
	for _, v := range made.variants {
		for _, l := range v.manifest.Layers {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", v.platform, made.name(l.Digest), amount(made.unpacked[l.Digest]), amount(l.Size), origin(base, l.Digest))
		}
	}
	w.Flush()
	fmt.Println()
	own := made.size()
	for digest, size := range made.blobs {
		if _, ok := base.blobs[digest]; ok {
			own -= size
		}
	}
	moved, everything := pulled.down+pushed.up, base.size()+made.size()
	say("moved %s: %s of the base's manifests to the build, %s to the registry", amount(moved), amount(pulled.down), amount(pushed.up))
	say("pulling and pushing everything would have moved %s: %s of base, %s of image", amount(everything), amount(base.size()), amount(made.size()))
	if most := own + own/8 + 256<<10; pushed.up > most {
		return fmt.Errorf("the push sent %s, but what the registry lacked is %s: layers of the base were sent again", amount(pushed.up), amount(own))
	}
	return nil
}

func origin(base image, layer oci.Digest) string {
	if _, ok := base.blobs[layer]; ok {
		return "the base, mounted in the registry"
	}
	return "this build, pushed"
}

// name is how a layer was made, short enough for a table.
func (c checked) name(layer oci.Digest) string {
	const most = 48
	name := strings.TrimPrefix(c.made[layer], "rules_img ")
	if runes := []rune(name); len(runes) > most {
		name = string(runes[:most-1]) + "…"
	}
	return name
}

// amount is a number of bytes for people.
func amount(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000*1000:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1000/1000)
}
