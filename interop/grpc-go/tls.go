package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"os"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// tlsFiles are PEM files: roots for the other side's certificate, and this side's certificate.
type tlsFiles struct {
	ca, cert, key string
}

func (files *tlsFiles) addFlags(flags *flag.FlagSet) {
	flags.StringVar(&files.ca, "tls-ca", "", "")
	flags.StringVar(&files.cert, "tls-cert", "", "")
	flags.StringVar(&files.key, "tls-key", "", "")
}

// server uses TLS if there is a certificate, and requires one of its clients if there are roots.
func (files tlsFiles) server() (credentials.TransportCredentials, error) {
	if files.cert == "" {
		return insecure.NewCredentials(), nil
	}
	config, err := files.config()
	if err != nil {
		return nil, err
	}
	if files.ca != "" {
		config.ClientCAs = config.RootCAs
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return credentials.NewTLS(config), nil
}

// client uses TLS if there are roots.
func (files tlsFiles) client() (credentials.TransportCredentials, error) {
	if files.ca == "" {
		return insecure.NewCredentials(), nil
	}
	config, err := files.config()
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(config), nil
}

func (files tlsFiles) config() (*tls.Config, error) {
	config := &tls.Config{}
	if files.cert != "" {
		pair, err := tls.LoadX509KeyPair(files.cert, files.key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if files.ca != "" {
		pem, err := os.ReadFile(files.ca)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("no certificate in %s", files.ca)
		}
	}
	return config, nil
}
