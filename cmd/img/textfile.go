package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds one line of a text file.
const maxLine = 1 << 20

// eachLine hands over the lines of a text file, and says of an error in which line it is.
func eachLine(r io.Reader, each func(line string) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	n := 1
	for ; s.Scan(); n++ {
		if err := each(s.Text()); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	err := s.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("has more than %d bytes", maxLine-1)
	}
	if err != nil {
		return fmt.Errorf("line %d: %w", n, err)
	}
	return nil
}
