package coordinator

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"convoy/api"
)

// askLimit bounds a question to all replicas.
const askLimit = 10 * time.Second

// answer is what one replica said.
type answer[T any] struct {
	member
	value T
	err   error
}

// askAll puts a question to all replicas at once, this one included, and
// returns their answers: all of them, or as many as there are when enough says
// so. It ends the calls still under way and returns after them.
func askAll[T any](ctx context.Context, s *Server, question func(context.Context, api.ShardsClient) (T, error), enough func([]answer[T]) bool) []answer[T] {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	var calls sync.WaitGroup
	defer calls.Wait()
	defer cancel()
	all := s.members()
	answered := make(chan answer[T], len(all))
	for _, m := range all {
		calls.Go(func() {
			a := answer[T]{member: m}
			var c api.ShardsClient
			if c, a.err = s.shardsAt(m); a.err == nil {
				a.value, a.err = question(ctx, c)
			}
			answered <- a
		})
	}
	var answers []answer[T]
	for range all {
		answers = append(answers, <-answered)
		if enough(answers) {
			break
		}
	}
	return answers
}

// onMajority carries do out on all replicas and returns nil once a majority of the
// voters has done it. Otherwise the error names each replica that has not, and why.
func (s *Server) onMajority(ctx context.Context, what, advice string, do func(context.Context, api.ShardsClient) error) error {
	need := s.majority()
	done := func(answers []answer[struct{}]) (n int) {
		for _, a := range answers {
			if a.err == nil && a.voter {
				n++
			}
		}
		return n
	}
	answers := askAll(ctx, s, func(ctx context.Context, c api.ShardsClient) (struct{}, error) {
		return struct{}{}, do(ctx, c)
	}, func(answers []answer[struct{}]) bool { return done(answers) >= need })
	if done(answers) >= need {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	var why []string
	for _, a := range answers {
		if a.err != nil && a.voter {
			why = append(why, fmt.Sprintf("%s: %s", a.id, status.Convert(a.err).Message()))
		}
	}
	// Not Unavailable, which would mean that another replica should be asked.
	return status.Errorf(codes.FailedPrecondition, "%s on %d of %d replicas, a majority is %d (%s): %s",
		what, done(answers), s.voters(), need, strings.Join(why, "; "), advice)
}

// majority is how many voters a majority takes.
func (s *Server) majority() int { return s.voters()/2 + 1 }

// voters is how many replicas count.
func (s *Server) voters() (n int) {
	for _, m := range s.members() {
		if m.voter {
			n++
		}
	}
	return n
}
