package metrics

import (
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestPageShowsWhatTheDocsList: every metric of ours is on the page and in
// docs/metrics.md, and the other way round; and the page is there no longer than
// it should be.
func TestPageShowsWhatTheDocsList(t *testing.T) {
	r := NewReplica()
	r.Refused("/a/method", "malformed")
	r.Repaired(Shard, 2)
	r.Carrier(func() Carried { return Carried{SentBytes: 7} })
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Serve(ctx, l) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + l.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(answer.Body)
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	docs, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	names := func(text []byte, pattern string) (list []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
			list = append(list, string(m[1]))
		}
		slices.Sort(list)
		return list
	}
	shown, listed := names(page, `(?m)^# TYPE (convoy_\w+) `), names(docs, "(?m)^\\| `(convoy_\\w+)` ")
	if len(shown) == 0 || !slices.Equal(shown, listed) {
		t.Errorf("the page shows %v, the docs list %v", shown, listed)
	}
	if want := regexp.MustCompile(`(?m)^convoy_repairs_total\{what="shard"\} 2$`); !want.Match(page) {
		t.Errorf("no %v in\n%s", want, page)
	}
}
