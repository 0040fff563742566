package layer

// chains are lists of numbers by key, in less memory than slices in a map. Most have one.
type chains[K comparable] struct {
	heads map[K]int32
	next  map[int32]int32
}

// find returns the number of a key that is wanted, or -1.
func (c *chains[K]) find(key K, wanted func(int32) bool) int32 {
	for i, ok := c.heads[key]; ok; i, ok = c.next[i] {
		if wanted(i) {
			return i
		}
	}
	return -1
}

func (c *chains[K]) add(key K, number int32) {
	if c.heads == nil {
		c.heads, c.next = map[K]int32{}, map[int32]int32{}
	}
	if head, ok := c.heads[key]; ok {
		c.next[number] = head
	}
	c.heads[key] = number
}
