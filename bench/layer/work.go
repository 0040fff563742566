package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// work is one comparison: the same data, made into an archive by several tools.
type work struct {
	name          string
	data          data
	format, level string
	tools         []tool
	lazy          bool // ours can be mounted before it is there: eStargz, zstd:chunked
	changing      bool // one file is another each time, and our cache knows the rest
	dir           string
}

// works are those of the table. What is to be reached is measured against rules_img 0.3.19 and, where that is not at hand, against the
// ratios that tar and compressors have to it.
func works(dir, img string, large bool) []work {
	programs, size := binaries, "large binaries"
	if large {
		programs, size = manyBinaries, "1.5 GB of large binaries"
	}
	cold := ours(img, "IMG_FRAME_CACHE=off")
	warm := ours(img, "IMG_FRAME_CACHE="+filepath.Join(dir, "frames"))
	warm.name = "img, with its cache"
	all := []work{
		{name: "small files, gzip 1", data: small, format: "gzip", level: "1", tools: []tool{cold, tarWith(0.40, "pigz", "-1"), bsdtar("--gzip")}},
		{name: "small files, gzip 9", data: small, format: "gzip", level: "9", tools: []tool{cold, tarWith(0.40, "gzip", "-6"), tarWith(0, "pigz", "-9")}},
		{name: "small files, zstd 1", data: small, format: "zstd", level: "1", tools: []tool{cold, tarWith(0.80, "zstd", "-q", "-1", "-T0"), bsdtar("--zstd")}},
		{name: "small files, uncompressed", data: small, format: "none", level: "1", tools: []tool{cold, tarWith(0, "cat")}},
		{name: "small files, eStargz 1", data: small, format: "gzip", level: "1", lazy: true, tools: []tool{cold, tarWith(0.48, "pigz", "-1")}},
		{name: "small files, zstd:chunked 1", data: small, format: "zstd", level: "1", lazy: true, tools: []tool{cold, tarWith(0, "zstd", "-q", "-1", "-T0")}},
		{name: "one tree five times, gzip 1", data: repeated, format: "gzip", level: "1", tools: []tool{cold, tarWith(0.14, "pigz", "-1")}},
		{name: "one tree five times, zstd 1", data: repeated, format: "zstd", level: "1", tools: []tool{cold, tarWith(0.30, "zstd", "-q", "-1", "-T0")}},
		{name: size + ", gzip 1", data: programs, format: "gzip", level: "1", tools: []tool{cold, tarWith(0.48, "pigz", "-1")}},
		{name: size + ", zstd 1", data: programs, format: "zstd", level: "1", tools: []tool{cold, tarWith(1.0, "zstd", "-q", "-1", "-T0")}},
		{name: "what does not compress, gzip 1", data: noise, format: "gzip", level: "1", tools: []tool{cold, tarWith(0.13, "pigz", "-1")}},
		{name: "what does not compress, zstd 1", data: noise, format: "zstd", level: "1", tools: []tool{cold, tarWith(1.2, "zstd", "-q", "-1", "-T0")}},
		{name: "one small file changed, gzip 1", data: small, format: "gzip", level: "1", changing: true, tools: []tool{warm, cold, tarWith(0.19, "pigz", "-1")}},
		{name: "one changed of " + size + ", gzip 1", data: programs, format: "gzip", level: "1", changing: true, tools: []tool{warm, cold, tarWith(0.10, "pigz", "-1")}},
	}
	for i := range all {
		all[i].dir = dir
		if peer, ok := another(); ok {
			all[i].tools = append(all[i].tools, peer)
		}
		all[i].tools = slices.DeleteFunc(all[i].tools, func(t tool) bool { return !t.present() })
	}
	return all
}

// measure has the tools take turns.
func (w work) measure(ctx context.Context, runs int) ([]row, error) {
	from, err := w.data.in(w.dir)
	if err != nil {
		return nil, err
	}
	files, err := listFiles(from)
	if err != nil {
		return nil, err
	}
	jobs := make([]job, len(w.tools))
	for i := range w.tools {
		if jobs[i], err = w.job(i, from, files); err != nil {
			return nil, err
		}
	}
	costs := make([][]cost, len(w.tools))
	for run := range runs + 1 { // the first warms the page cache, and ours
		if err := w.round(ctx, run, from, jobs, costs, len(files)); err != nil {
			return nil, err
		}
	}
	return w.rows(jobs, costs)
}

func (w work) round(ctx context.Context, run int, from string, jobs []job, costs [][]cost, files int) (err error) {
	if w.changing && run > 0 {
		restore, err := changeOne(from, run)
		if err != nil {
			return err
		}
		defer restore()
	}
	for i, t := range w.tools {
		if err := os.RemoveAll(jobs[i].out); err != nil {
			return err
		}
		c, err := t.run(ctx, jobs[i])
		if err != nil {
			return err
		}
		if err := check(jobs[i], t.ours, files, run == 0); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		if run > 0 {
			costs[i] = append(costs[i], c)
		}
	}
	return nil
}

// job writes the request of one tool.
func (w work) job(number int, from string, files []string) (job, error) {
	out := filepath.Join(w.dir, "out", fmt.Sprintf("%s-%s-%s-%t-%d", w.data.name, w.format, w.level, w.lazy, number))
	j := job{dir: from, out: out, request: out + ".request", format: w.format, level: w.level}
	f, err := os.Create(j.request)
	if err != nil {
		return j, err
	}
	defer f.Close()
	b := bufio.NewWriter(f)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	e.Encode(map[string]any{
		"kind": "layer", "version": 1, "name": "//bench:" + w.data.name, "compress": w.format, "level": w.level, "jobs": "auto",
		"estargz": w.lazy, "create_parents": false, "tree_artifacts": "full",
	})
	e.Encode(map[string]string{"type": "blob", "from": j.out})
	e.Encode(map[string]string{"type": "metadata", "from": j.out + ".json"})
	for _, file := range files {
		e.Encode(map[string]string{"type": "file", "path": file, "from": filepath.Join(from, file)})
	}
	return j, b.Flush()
}

func (w work) rows(jobs []job, costs [][]cost) ([]row, error) {
	var rows []row
	for i, t := range w.tools {
		info, err := os.Stat(jobs[i].out)
		if err != nil {
			return nil, err
		}
		r := row{work: w.name, tool: t.name, reach: t.reach, size: info.Size()}
		for _, c := range costs[i] {
			r.wall = append(r.wall, c.wall)
			r.cpu = append(r.cpu, c.cpu)
			r.memory = max(r.memory, c.memory)
		}
		rows = append(rows, r)
	}
	for i := range rows {
		rows[i].first = &rows[0]
	}
	return rows, nil
}

func replaceTable(path, table string) error {
	const begin, end = "<!-- begin bench/layer -->\n", "<!-- end bench/layer -->"
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s: has not the lines %s and %s", path, strings.TrimSpace(begin), end)
	}
	return os.WriteFile(path, []byte(before+begin+table+end+after), 0o644)
}
