package coordinator

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"regexp"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"convoy/api"
	"convoy/data"
	"convoy/digest"
	"convoy/job"
	"convoy/models"
)

var requestIDPattern = regexp.MustCompile(`^[0-9a-z-]{16,64}$`)

// maxEntry bounds an entry of the log in bytes. Small entries commit fast
// whatever the model's size; the longest is a network that is listed layer by
// layer, twice: in the job file and in the recipe.
const maxEntry = 64 << 10

// Submit checks a job down to the last layer before anything is written, sees
// to it that a majority holds the data, and then writes the job to the log.
// Nothing of it harms when done twice.
func (s *jobService) Submit(ctx context.Context, req *api.SubmitRequest) (*api.SubmitResponse, error) {
	if !requestIDPattern.MatchString(req.GetRequestId()) {
		return nil, status.Errorf(codes.InvalidArgument, "request id %.80q: want 16 to 64 characters of 0-9, a-z and -", req.GetRequestId())
	}
	if j := s.submitted(req.GetRequestId()); j != nil {
		return &api.SubmitResponse{Job: j}, nil
	}
	file, manifest, err := resolve(req.GetJobFile(), req.GetManifest())
	if err != nil {
		return nil, err
	}
	entry, err := submitEntry(req.GetRequestId(), file, manifest)
	if err != nil {
		return nil, err
	}
	id := entry.GetJobSubmit().GetJob()
	if _, ok := s.replica.Job(id); ok {
		if j := s.submitted(req.GetRequestId()); j != nil { // by a retry, just now
			return &api.SubmitResponse{Job: j}, nil
		}
		return nil, status.Errorf(codes.AlreadyExists, "job %s is there already, from another request: submit again with a new request id", id)
	}
	if err := s.commitData(ctx, manifest); err != nil {
		return nil, err
	}
	if err := s.propose(ctx, entry); err != nil {
		return nil, err
	}
	j := s.submitted(req.GetRequestId())
	if j == nil {
		return nil, status.Errorf(codes.Aborted, "job %s was not taken: submit it again", id)
	}
	s.log.Info("job submitted", zap.String("job", j.GetJob()), zap.String("recipe", j.GetRecipeHash()))
	return &api.SubmitResponse{Job: j}, nil
}

// submitted returns the job that a request has made already, or nil.
func (s *jobService) submitted(requestID string) *api.JobStatus {
	for _, r := range s.replica.Control().GetJobs() {
		if r.GetSubmit().GetRequestId() == requestID {
			if j, ok := s.replica.Job(r.GetSubmit().GetJob()); ok {
				return j
			}
		}
	}
	return nil
}

// resolve reads a job file and finds its data set. manifest is empty for
// built-in data.
func resolve(source, manifest []byte) (job.File, data.Manifest, error) {
	file, err := job.Parse(source, "job file")
	if err != nil {
		return job.File{}, data.Manifest{}, status.Error(codes.InvalidArgument, err.Error())
	}
	m, err := manifestOf(file, manifest)
	if err != nil {
		return job.File{}, data.Manifest{}, status.Error(codes.InvalidArgument, err.Error())
	}
	return file, m, nil
}

func manifestOf(file job.File, given []byte) (data.Manifest, error) {
	if !data.Builtin(file.Data.Name) {
		if len(given) == 0 {
			_, err := data.Open(file.Data.Name, "") // it says what is near
			return data.Manifest{}, file.Errorf("data.name", "%w; the job came without a manifest: `coordinator job submit` reads the folder and sends it", err)
		}
		m, err := parseManifest(given)
		if err != nil {
			return data.Manifest{}, fmt.Errorf("%s", status.Convert(err).Message())
		}
		if m.Builtin() || m.Name != file.Data.Name {
			return data.Manifest{}, file.Errorf("data.name", "the manifest is of data set %q, the job's is %q: submit the job again with its own data", m.Name, file.Data.Name)
		}
		return m, nil
	}
	set, err := data.Open(file.Data.Name, "")
	if err != nil {
		return data.Manifest{}, file.Errorf("data.name", "%w", err)
	}
	if len(given) > 0 && digest.Of(given) != set.Manifest.Digest() {
		return data.Manifest{}, file.Errorf("data.name", "the manifest is not that of the built-in data set %q: run the same release everywhere", file.Data.Name)
	}
	return set.Manifest, nil
}

// submitEntry makes the log's entry of a job after building its network once,
// so that what cannot be trained is refused here and not on a worker.
func submitEntry(requestID string, file job.File, m data.Manifest) (*api.Entry, error) {
	recipe := file.Recipe(m.ForRecipe())
	if err := cmp.Or(file.Fits(recipe.Data), recipe.Check()); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if _, err := models.ForRecipe(recipe); err != nil {
		return nil, status.Error(codes.InvalidArgument, file.Errorf(file.ModelKey(), "%w", err).Error())
	}
	if err := checkInput(recipe, m); err != nil {
		return nil, status.Error(codes.InvalidArgument, file.Errorf("input.normalize", "%w", err).Error())
	}
	entry := &api.Entry{Body: &api.Entry_JobSubmit{JobSubmit: &api.JobSubmit{
		RequestId: requestID, Job: job.ID(file.Name, requestID), Name: file.Name,
		Recipe: recipe.Canonical(), JobFile: file.YAML(),
		CheckpointEvery: uint64(file.Checkpoint.Every), CheckpointKeep: uint32(file.Checkpoint.Keep),
		WorkersMin: uint32(file.Workers.Min), WorkersMax: uint32(file.Workers.Max), Audit: file.Audit,
	}}}
	if n := proto.Size(entry); n > maxEntry {
		return nil, status.Errorf(codes.InvalidArgument, "the job takes %d bytes of the log, at most %d: shorten model.layers", n, maxEntry)
	}
	return entry, nil
}

// checkInput reports why the set's examples cannot become the network's input.
func checkInput(r job.Recipe, m data.Manifest) error {
	in, err := models.InputOf(r)
	if err != nil {
		return err
	}
	_, err = data.NewPreparation(m, in, r.Augment, r.Seed)
	return err
}

// commitData records that a majority holds a data set, once it does.
func (s *jobService) commitData(ctx context.Context, m data.Manifest) error {
	sum := m.Digest()
	for _, b := range s.replica.Control().GetManifests() {
		if bytes.Equal(b, sum[:]) {
			return nil
		}
	}
	if !m.Builtin() {
		manifest := m.Canonical()
		// Each shard is on a majority, not always on the same one: this replica
		// gathers all, and completes the others from there. What nobody has is
		// told below.
		gathered := s.gather(ctx, m)
		err := s.onMajority(ctx, fmt.Sprintf("data set %s is complete", m.Name), "send the shards that MissingShards lists, and submit again",
			func(ctx context.Context, c api.ShardsClient) error {
				if _, err := c.StoreManifest(ctx, &api.StoreManifestRequest{Manifest: manifest}); err != nil {
					return err
				}
				reply, err := c.Lacking(ctx, &api.MissingShardsRequest{Manifest: manifest})
				if missing := len(reply.GetSha256()); err == nil && missing > 0 && gathered != nil {
					err = fmt.Errorf("%d of %d shards are missing", missing, len(m.Shards))
				}
				for _, sum := range reply.GetSha256() {
					if err == nil {
						err = s.sendShard(ctx, c, sum)
					}
				}
				return err
			})
		if err != nil {
			return err
		}
	}
	return s.propose(ctx, &api.Entry{Body: &api.Entry_DataCommit{DataCommit: &api.DataCommit{ManifestDigest: sum[:]}}})
}
