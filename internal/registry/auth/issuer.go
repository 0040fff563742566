package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// TokenPath is where tokens are issued.
const TokenPath = "/token"

// lifetime is how long an issued token is good for: longer than a client takes between asking and pushing, since clients ask again.
const lifetime = 5 * time.Minute

// Issuer makes and checks tokens that say who has them and for how long.
type Issuer struct {
	key [32]byte
	now func() time.Time
}

// NewIssuer returns an issuer whose tokens are good wherever there is one with the same key. now is the clock.
func NewIssuer(key [32]byte, now func() time.Time) *Issuer { return &Issuer{key, now} }

// issue makes a token: the name, the second in which it ends, and a signature of both.
func (i *Issuer) issue(who string) string {
	claim := base64.RawURLEncoding.EncodeToString([]byte(who)) + "." + strconv.FormatInt(i.now().Add(lifetime).Unix(), 10)
	return claim + "." + i.sign(claim)
}

// check returns whose token it is. No issuer has issued none.
func (i *Issuer) check(token string) (who string, ok bool) {
	cut := strings.LastIndexByte(token, '.')
	if i == nil || cut < 0 || !hmac.Equal([]byte(i.sign(token[:cut])), []byte(token[cut+1:])) {
		return "", false
	}
	name, until, _ := strings.Cut(token[:cut], ".")
	end, err := strconv.ParseInt(until, 10, 64)
	left := end - i.now().Unix()
	if err != nil || left <= 0 || left > int64(lifetime.Seconds()) { // of more than its life when the clock was set back
		return "", false
	}
	b, err := base64.RawURLEncoding.DecodeString(name)
	return string(b), err == nil
}

func (i *Issuer) sign(claim string) string {
	h := hmac.New(sha256.New, i.key[:])
	h.Write([]byte(claim))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// ServeToken answers at [TokenPath], if the gate has an issuer: whoever logs in gets a token.
func (g *Gate) ServeToken(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "want GET with a name and a password", http.StatusMethodNotAllowed)
		return
	}
	who, ok := g.login(r)
	if !ok {
		w.Header().Set("Www-Authenticate", `Basic realm="registry"`)
		http.Error(w, "want a name and a password that are known here", http.StatusUnauthorized)
		return
	}
	token := g.Issuer.issue(who)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(map[string]any{
		"token": token, "access_token": token, "expires_in": int(lifetime.Seconds()), "issued_at": g.Issuer.now().UTC().Format(time.RFC3339),
	})
}
