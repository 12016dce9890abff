// Command kafka is a Kafka broker in one process, for the examples that write to
// one: franz-go's kfake, which speaks Kafka's protocol, groups of consumers
// included, and keeps its topics in memory. It prints its address and runs
// until it is told to end.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	port := flag.Int("port", 9092, "of 127.0.0.1 to listen on")
	flag.Parse()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(*port), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(1))
	if err != nil {
		fmt.Fprintln(os.Stderr, "kafka:", err)
		os.Exit(1)
	}
	defer broker.Close()
	fmt.Println(broker.ListenAddrs()[0])
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, syscall.SIGTERM)
	<-end
}
