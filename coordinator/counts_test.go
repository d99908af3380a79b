package coordinator

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"convoy/api"
	"convoy/metrics"
)

// raw sends bytes as they are, and takes no notice of the answer.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return v.([]byte), nil }
func (raw) Unmarshal([]byte, any) error   { return nil }
func (raw) Name() string                  { return "proto" }
func (c *cluster) call(method string, b []byte) error {
	var answer []byte
	return c.conn("r1").Invoke(c.ctx(), method, b, &answer, grpc.ForceCodec(raw{}), grpc.MaxCallSendMsgSize(2*maxMessage))
}

// TestHostileCallsAreRefusedAndCounted: garbage in every call, calls that are too
// long, and calls that there are not. The coordinator answers afterwards, and has
// counted them by names of its own.
func TestHostileCallsAreRefusedAndCounted(t *testing.T) {
	c := startCluster(t, 1)
	garbage := []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f}
	for _, service := range []grpc.ServiceDesc{api.Jobs_ServiceDesc, api.Replicas_ServiceDesc, api.Shards_ServiceDesc} {
		for _, m := range service.Methods {
			if err := c.call("/"+service.ServiceName+"/"+m.MethodName, garbage); err == nil {
				t.Errorf("%s takes garbage", m.MethodName)
			}
		}
		for _, m := range service.Streams {
			stream, err := c.conn("r1").NewStream(c.ctx(), &grpc.StreamDesc{ServerStreams: true}, "/"+service.ServiceName+"/"+m.StreamName, grpc.ForceCodec(raw{}))
			if err == nil {
				err = stream.SendMsg(garbage)
			}
			if err == nil {
				err = stream.CloseSend()
			}
			var answer []byte
			if err != nil || stream.RecvMsg(&answer) == nil {
				t.Errorf("%s takes garbage, or nothing: %v", m.StreamName, err)
			}
		}
	}
	if err := c.call(api.Jobs_Status_FullMethodName, make([]byte, maxMessage+1)); err == nil {
		t.Error("a call that is too long is taken")
	}
	if err := c.call("/convoy.v1.Jobs/Nothing-of-the-kind", nil); err == nil {
		t.Error("an unknown call is taken")
	}
	if _, err := c.jobs("r1").List(c.ctx(), &api.ListRequest{}); err != nil {
		t.Errorf("a good call afterwards: %v", err)
	}
	page := pageOf(t, c.servers["r1"].cfg.Metrics)
	for _, want := range []string{
		`convoy_refused_total{method="/convoy.v1.Jobs/Submit",reason="malformed"} 1`,
		`convoy_refused_total{method="/convoy.v1.Jobs/Watch",reason="malformed"} 1`,
		`convoy_refused_total{method="/convoy.v1.Replicas/Acknowledge",reason="malformed"} 1`,
		`convoy_refused_total{method="/convoy.v1.Shards/StoreShard",reason="malformed"} 1`,
		`convoy_refused_total{method="/convoy.v1.Jobs/Status",reason="too_long"} 1`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if strings.Contains(page, "Nothing-of-the-kind") {
		t.Error("a name from outside is a label of the metrics")
	}
	if t.Failed() {
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, "convoy_refused") {
				t.Log(line)
			}
		}
	}
}

// pageOf reads the page that shows metrics.
func pageOf(t *testing.T, m *metrics.Replica) string {
	t.Helper()
	l, err := metrics.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Serve(ctx, l) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + l.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return string(page)
}
