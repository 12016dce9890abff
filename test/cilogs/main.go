// Command cilogs measures the finding of the lines that explain a failed build
// on logs in which people marked them, cross-validated by repository, beside a
// diff of the two logs and the published method:
//
//	go run ./test/cilogs                # the table
//	go run ./test/cilogs -output json   # the same for a machine
//	go run ./test/cilogs -fit           # the weights to commit, fitted on all logs
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/deployloop/deployloop/internal/cilog/backtest"
)

func main() {
	fit := flag.Bool("fit", false, "print the weights fitted on all logs")
	output := flag.String("output", "text", "text or json")
	dir := flag.String("logs", "", "the logs; default "+backtest.DataDir+", looked for from here upwards")
	flag.Parse()
	if err := run(*fit, *output, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "cilogs:", err)
		os.Exit(1)
	}
}

func run(fit bool, output, dir string) (err error) {
	if dir == "" {
		if dir, err = backtest.Find("."); err != nil {
			return err
		}
	}
	cases, err := backtest.Load(dir)
	if err != nil {
		return err
	}
	if fit {
		for _, compared := range []bool{true, false} {
			w, err := backtest.Fit(cases, compared)
			if err != nil {
				return err
			}
			name := "Compared"
			if !compared {
				name = "Alone"
			}
			fmt.Print(backtest.Describe(name, w))
		}
		return nil
	}
	rows, err := backtest.Measure(cases)
	if err != nil {
		return err
	}
	if output == "json" {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(rows)
	}
	fmt.Println(backtest.Header())
	for _, r := range rows {
		fmt.Println(r)
	}
	return nil
}
