// Package similar finds the word that a mistyped one was meant to be, for error
// messages that ask "did you mean".
package similar

import "strings"

// To returns the candidate that takes the fewest edits to reach from word,
// whatever its case, or "" where that is more than one edit for every three
// letters: a suggestion that is far off is worse than none.
func To(word string, candidates []string) string {
	best, fewest := "", 1+max(1, len(word)/3)
	if len(word) < 2 {
		return ""
	}
	for _, c := range candidates {
		if d := Edits(strings.ToLower(word), c); d < fewest {
			best, fewest = c, d
		}
	}
	return best
}

// Edits is how many letters must be put in, left out, replaced or swapped with
// their neighbour to turn a into b: the optimal string alignment distance
// (Damerau, "A technique for computer detection and correction of spelling
// errors", 1964, without edits within a swap). It counts bytes.
func Edits(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
