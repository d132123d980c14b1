// The grpc-go peer of ferrpc's interop tests; ../README.md is its contract.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

// Both ends take messages up to this size.
const maxMessageSize = 16 << 20

const usage = `usage:
  server --listen HOST:PORT [TLS]
  client --connect HOST:PORT --case CASE[,CASE...] [TLS]
  client --connect HOST:PORT --as CALLER [TLS]
  service-configs <CONFIGS
where TLS is: [--tls-ca FILE] [--tls-cert FILE --tls-key FILE]`

var errUsage = errors.New("wrong usage")

func main() {
	err := run(os.Args[1:])
	if err == nil {
		return
	}
	if errors.Is(err, errUsage) {
		fmt.Fprintf(os.Stderr, "%v\n%s\n", err, usage)
		os.Exit(2)
	}
	if !errors.Is(err, errCasesFailed) { // those have a line each already
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(1)
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: server or client?", errUsage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(new(strings.Builder)) // the error is printed once, by main
	var files tlsFiles
	files.addFlags(flags)
	switch args[0] {
	case "service-configs":
		if err := parse(flags, args[1:]); err != nil {
			return err
		}
		return judgeServiceConfigs(os.Stdin, os.Stdout)
	case "server":
		listen := flags.String("listen", "", "")
		if err := parse(flags, args[1:]); err != nil {
			return err
		}
		if *listen == "" {
			return fmt.Errorf("%w: server needs --listen", errUsage)
		}
		return serve(*listen, files)
	case "client":
		connect := flags.String("connect", "", "")
		names := flags.String("case", "", "")
		caller := flags.String("as", "", "")
		if err := parse(flags, args[1:]); err != nil {
			return err
		}
		if *connect == "" || (*names == "") == (*caller == "") {
			return fmt.Errorf("%w: client needs --connect and one of --case and --as", errUsage)
		}
		if *caller != "" {
			return askAs(*connect, *caller, files)
		}
		return runCases(*connect, strings.Split(*names, ","), files)
	}
	return fmt.Errorf("%w: neither server nor client: %q", errUsage, args[0])
}

func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%w: %v", errUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: unexpected %q", errUsage, flags.Arg(0))
	}
	return nil
}
