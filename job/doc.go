// Package job owns what a training job is: the job file that people write, the
// recipe that fixes the model's bits, and the sequence of steps that follows
// from a recipe.
//
// It promises that equal job files give equal recipes, that a recipe's hash
// covers everything the model depends on and nothing else, and that every
// example is used exactly once an epoch. It does no I/O, and it does not know
// which models and data sets exist: the packages that do report a wrong name
// with File.At, which tells line and column.
//
// The file is YAML, read strictly; keys, defaults and ranges stand in one table
// (keys.go). The split of a job into arithmetic and the rest follows
// reproducible builds (reproducible-builds.org): name the result by its inputs.
package job
