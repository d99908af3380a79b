package nn

// Named is a layer under a name of its own, as the paper that it comes from
// gives it, instead of its number. What Layer is may be a chain of the layer and
// its activation: they stand under the name as one, and only the first of them
// may have parameters.
type Named struct {
	Name  string
	Layer Layer
}

func (l Named) String() string { return l.Name + ": " + l.Layer.String() }
func (l Named) kind() string   { return l.Layer.kind() }

func (l Named) bind(b *binder, in Shape) (operator, error) { return Chain{l}.bind(b, in) }

// join makes one entry of a summary of i and next, the layer behind it that has
// the same name.
func (i *Info) join(next Info) {
	i.Layer += ", " + next.Layer
	i.Out, i.ReceptiveField, i.Stride = next.Out, next.ReceptiveField, next.Stride
	i.Params, i.Fixed, i.MACs = i.Params+next.Params, i.Fixed+next.Fixed, i.MACs+next.MACs
}
