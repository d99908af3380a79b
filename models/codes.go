package models

import "strings"

// digitPictures are the targets of LeNet-5's output: the digits '0' to '9' as
// stylised characters of 7×12 pixels, two rows of them for descenders. The paper
// (figure 3) shows such a set for all of ASCII, as a picture alone; these are drawn
// after it, pixel by pixel, so that characters which are easily confused have
// similar codes.
var digitPictures = [10]string{
	`
..###..
.##.##.
##...##
##...##
##...##
##...##
##...##
##...##
.##.##.
..###..
.......
.......
`, `
...##..
..###..
.####..
...##..
...##..
...##..
...##..
...##..
...##..
.######
.......
.......
`, `
.#####.
##...##
##...##
.....##
....##.
...##..
..##...
.##....
##.....
#######
.......
.......
`, `
#######
.....##
....##.
...##..
..####.
.....##
.....##
.....##
##...##
.#####.
.......
.......
`, `
.....##
....###
...####
..##.##
.##..##
##...##
#######
.....##
.....##
.....##
.......
.......
`, `
#######
##.....
##.....
##.....
######.
.....##
.....##
.....##
##...##
.#####.
.......
.......
`, `
..####.
.##....
##.....
##.....
######.
##...##
##...##
##...##
##...##
.#####.
.......
.......
`, `
#######
.....##
.....##
....##.
....##.
...##..
...##..
..##...
..##...
..##...
.......
.......
`, `
.#####.
##...##
##...##
##...##
.#####.
##...##
##...##
##...##
##...##
.#####.
.......
.......
`, `
.#####.
##...##
##...##
##...##
##...##
.######
.....##
.....##
....##.
.####..
.......
.......
`,
}

// digitCodes are the first classes of the digits' codes, of which there are ten: 1
// for the character, −1 for the ground, row by row.
func digitCodes(classes int) [][]float32 {
	values := map[rune]float32{'#': 1, '.': -1}
	var codes [][]float32
	for _, picture := range digitPictures[:min(classes, len(digitPictures))] {
		var code []float32
		for _, pixel := range strings.ReplaceAll(picture, "\n", "") {
			code = append(code, values[pixel])
		}
		codes = append(codes, code)
	}
	return codes
}
