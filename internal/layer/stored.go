package layer

// stored is the compressor of uncompressed layers.
type stored struct{}

func (stored) head(to []byte) []byte                    { return to }
func (stored) frame(_, raw []byte) ([]byte, error)      { return raw, nil }
func (stored) tail(to []byte, _ uint32, _ int64) []byte { return to }
func (stored) checks() bool                             { return false }

// incompressible reports whether raw looks like noise: sixteen samples of 256 bytes whose values are spread as evenly as those
// of random bytes are. It is exact arithmetic, since the answer decides bytes of the output.
func incompressible(raw []byte) bool {
	const samples, length = 16, 256
	if len(raw) < samples*length {
		return false
	}
	var count [256]int
	step := (len(raw) - length) / (samples - 1)
	for s := range samples {
		for _, b := range raw[s*step : s*step+length] {
			count[b]++
		}
	}
	squares := 0
	for _, n := range count {
		squares += n * n
	}
	// Random bytes give n²/256 + n = 69632 on average, with a deviation of about 360.
	return squares < 72000
}
