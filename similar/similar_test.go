package similar

import "testing"

func TestTo(t *testing.T) {
	names := []string{"lenet", "lenet-relu", "vgg11"}
	for word, want := range map[string]string{
		"lenett": "lenet", "LeNet": "lenet", "lenet_relu": "lenet-relu", "vgg1": "vgg11", "evgg11": "vgg11",
		"resnet50": "", "x": "", "": "",
	} {
		if got := To(word, names); got != want {
			t.Errorf("To(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"batch", "batch", 0}, {"batsh", "batch", 1}, {"bacth", "batch", 1}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}} {
		if got := Edits(c.a, c.b); got != c.want {
			t.Errorf("Edits(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
