// A receiver of the Lumberjack protocol, version 2, on go-lumber's own server: it acknowledges events when they are on the disk.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"log"
	"net"
	"os"
	"time"

	"github.com/elastic/go-lumber/lj"
	v2 "github.com/elastic/go-lumber/server/v2"
)

func main() {
	out := flag.String("out", "", "file that gets a line an event")
	plain := flag.String("plain", "", "address without TLS")
	secured := flag.String("tls", "", "address with TLS")
	mutual := flag.String("mtls", "", "address with TLS, for clients with a certificate")
	cert := flag.String("cert", "", "certificate")
	key := flag.String("key", "", "its private key")
	ca := flag.String("ca", "", "authority of clients' certificates")
	keepalive := flag.Duration("keepalive", 3*time.Second, "pause between acknowledgements of nothing")
	hold := flag.Duration("hold", 0, "how long each batch waits for its acknowledgement")
	flag.Parse()

	file, err := os.OpenFile(*out, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	check(err)
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	check(err)
	authority, err := os.ReadFile(*ca)
	check(err)
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(authority)

	batches := make(chan *lj.Batch)
	serve := func(address string, config *tls.Config) {
		listener, err := net.Listen("tcp", address)
		check(err)
		if config != nil {
			listener = tls.NewListener(listener, config)
		}
		_, err = v2.NewWithListener(listener, v2.Channel(batches), v2.Keepalive(*keepalive))
		check(err)
	}
	certificates := []tls.Certificate{pair}
	serve(*plain, nil)
	serve(*secured, &tls.Config{Certificates: certificates})
	serve(*mutual, &tls.Config{Certificates: certificates, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert})

	for batch := range batches {
		var lines []byte
		for _, event := range batch.Events {
			line, err := json.Marshal(event)
			check(err)
			lines = append(append(lines, line...), '\n')
		}
		_, err = file.Write(lines)
		check(err)
		check(file.Sync())
		time.Sleep(*hold)
		batch.ACK()
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
