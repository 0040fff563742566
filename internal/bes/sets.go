package bes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/bazel-contrib/rules_img/proto/bep"
)

// maxSets bounds the bytes of one stream's sets, which a build of a million files has a tenth of. Where a set is stays in memory, for which each
// counts as leastSet at least; maxID bounds its ID, for which Bazel has a number.
const maxSets, leastSet, maxID = 4 << 30, 1 << 10, 1 << 10

// sets are the sets of files that a stream has named so far. Any later event may refer to any of them, and a big build has many: they are in a
// file, and only where they are is in memory. The file outlives the process, because Bazel does not send again what was acknowledged.
type sets struct {
	file *os.File
	at   map[string]span
	end  int64
	size int64 // of all sets, as maxSets counts them
	dirt bool  // not all is on the disk yet
}

// span is where a set is in the file.
type span struct {
	offset int64
	size   int32
	plans  bool // a file that is known for a plan by its name is in it, or below it
}

// head is what comes before each record: its size and its checksum.
const head = 8

var checksums = crc32.MakeTable(crc32.Castagnoli)

// errLost is for what refers to a set that is not here.
var errLost = errors.New("names a set of files that came before this server had a memory: its state directory was removed or changed during the build; build again")

// errTorn is for a record that is not as it was written.
var errTorn = errors.New("is not as it was written")

// openSets opens the file, or makes it. A record that was only half written when the process died was not acknowledged: it is cut off.
func openSets(path string) (*sets, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	s := &sets{file: f, at: map[string]span{}}
	if err := s.load(); err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

func (s *sets) load() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	for {
		body, err := s.record(s.end, info.Size())
		if err != nil && !errors.Is(err, errTorn) {
			return err // what can't be read may be whole
		}
		var e bep.BuildEvent
		if err != nil || proto.Unmarshal(body, &e) != nil {
			return s.file.Truncate(s.end)
		}
		s.note(e.GetId().GetNamedSet().GetId(), e.GetNamedSetOfFiles(), len(body))
	}
}

// record reads the record at offset of a file of that size.
func (s *sets) record(offset, size int64) ([]byte, error) {
	if size-offset < head {
		return nil, errTorn
	}
	var h [head]byte
	if _, err := s.file.ReadAt(h[:], offset); err != nil {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(h[:]))
	if n > size-offset-head {
		return nil, errTorn
	}
	body := make([]byte, n)
	if _, err := s.file.ReadAt(body, offset+head); err != nil {
		return nil, err
	}
	if crc32.Checksum(body, checksums) != binary.LittleEndian.Uint32(h[4:]) {
		return nil, errTorn
	}
	return body, nil
}

// note remembers where a set is, which is at the end.
func (s *sets) note(id string, set *bep.NamedSetOfFiles, size int) {
	s.at[id] = span{s.end, int32(size), s.hasPlans(set)}
	s.end += int64(head + size)
	s.size += max(leastSet, int64(head+size))
}

// hasPlans reports whether a set may lead to a plan: one that is lost may.
func (s *sets) hasPlans(set *bep.NamedSetOfFiles) bool {
	for _, f := range set.GetFiles() {
		if isPlan(f) {
			return true
		}
	}
	for _, id := range set.GetFileSets() {
		if below, ok := s.at[id.GetId()]; !ok || below.plans {
			return true
		}
	}
	return false
}

// add appends a set. One that is there is not added again.
func (s *sets) add(e *bep.BuildEvent) error {
	id := e.GetId().GetNamedSet().GetId()
	if _, known := s.at[id]; known {
		return nil
	}
	if len(id) > maxID {
		return fmt.Errorf("the build has named more than %d bytes to tell a set of files from others", maxID)
	}
	record := make([]byte, head, head+proto.Size(e))
	record, err := proto.MarshalOptions{}.MarshalAppend(record, e)
	if err != nil {
		return err
	}
	if s.size+max(leastSet, int64(len(record))) > maxSets {
		return fmt.Errorf("the build has named more than %d bytes of sets of files", int64(maxSets))
	}
	body := record[head:]
	binary.LittleEndian.PutUint32(record, uint32(len(body)))
	binary.LittleEndian.PutUint32(record[4:], crc32.Checksum(body, checksums))
	s.dirt = true
	if _, err := s.file.WriteAt(record, s.end); err != nil {
		return err
	}
	s.note(id, e.GetNamedSetOfFiles(), len(body))
	return nil
}

// sync returns when all that was added is on the disk.
func (s *sets) sync() error {
	if !s.dirt {
		return nil
	}
	s.dirt = false
	return s.file.Sync()
}

// walk calls take for the files in the sets and below them, each set once; with onlyPlans, in those alone that have plans.
func (s *sets) walk(ids []*bep.BuildEventId_NamedSetOfFilesId, onlyPlans bool, take func(*bep.File)) error {
	seen := map[string]bool{}
	for todo := slices.Clone(ids); len(todo) > 0; {
		id := todo[len(todo)-1].GetId()
		todo = todo[:len(todo)-1]
		at, known := s.at[id]
		if !known {
			return fmt.Errorf("set %q: %w", id, errLost)
		}
		if seen[id] || onlyPlans && !at.plans {
			continue
		}
		seen[id] = true
		set, err := s.read(at)
		if err != nil {
			return fmt.Errorf("%s: set %q: %w", s.file.Name(), id, err)
		}
		for _, f := range set.GetFiles() {
			take(f)
		}
		todo = append(todo, set.GetFileSets()...)
	}
	return nil
}

func (s *sets) read(at span) (*bep.NamedSetOfFiles, error) {
	body, err := s.record(at.offset, s.end)
	if err != nil {
		return nil, err
	}
	var e bep.BuildEvent
	err = proto.Unmarshal(body, &e)
	return e.GetNamedSetOfFiles(), err
}

func (s *sets) close() error { return s.file.Close() }
