package main

import (
	"bufio"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// judgeServiceConfigs says of each line, a service config, whether grpc-go takes it.
func judgeServiceConfigs(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		verdict := "accepted"
		channel, err := grpc.NewClient("passthrough:///localhost:1",
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultServiceConfig(lines.Text()))
		if err != nil {
			verdict = "refused"
		} else {
			channel.Close()
		}
		fmt.Fprintln(out, verdict)
	}
	return lines.Err()
}
