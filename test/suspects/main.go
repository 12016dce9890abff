// Command suspects measures the ranking of suspects on recorded regressions,
// cross-validated by repository, beside simple rules:
//
//	go run ./test/suspects                # the tables
//	go run ./test/suspects -output json   # the same for a machine
//	go run ./test/suspects -fit           # the weights to commit, fitted on all cases
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/deployloop/deployloop/internal/suspect/backtest"
)

func main() {
	fit := flag.Bool("fit", false, "print the weights fitted on all cases")
	output := flag.String("output", "text", "text or json")
	file := flag.String("cases", "", "the cases; default "+backtest.DataFile+", looked for from here upwards")
	flag.Parse()
	if err := run(*fit, *output, *file); err != nil {
		fmt.Fprintln(os.Stderr, "suspects:", err)
		os.Exit(1)
	}
}

func run(fit bool, output, file string) (err error) {
	if file == "" {
		if file, err = backtest.Find("."); err != nil {
			return err
		}
	}
	cases, err := backtest.Load(file)
	if err != nil {
		return err
	}
	if fit {
		fmt.Print(backtest.Describe(backtest.Fit(cases)))
		return nil
	}
	reports := backtest.CrossValidate(cases)
	if output == "json" {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(reports)
	}
	for i, r := range reports {
		if i > 0 {
			fmt.Println()
		}
		fmt.Print(r)
	}
	return nil
}
