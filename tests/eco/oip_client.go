// SPDX-License-Identifier: MIT
// oip_client.go URL TOKEN: products at the gateway by Go's net/http.
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
)

type tensor struct {
	Name       string         `json:"name"`
	Datatype   string         `json:"datatype"`
	Shape      []int          `json:"shape"`
	Data       []float64      `json:"data,omitempty"`
	Parameters map[string]any `json:"parameters,omitempty"`
}

type message struct {
	Id         string         `json:"id,omitempty"`
	Inputs     []tensor       `json:"inputs,omitempty"`
	Outputs    []tensor       `json:"outputs,omitempty"`
	Parameters map[string]any `json:"parameters,omitempty"`
	Error      string         `json:"error,omitempty"`
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// product multiplies 1 x 2 by 2 x 1 as bytes and gets bytes.
func product(id string) {
	size := map[string]any{"binary_data_size": 8}
	head, err := json.Marshal(message{Id: id, Inputs: []tensor{
		{Name: "A", Datatype: "FP32", Shape: []int{1, 2}, Parameters: size},
		{Name: "B", Datatype: "FP32", Shape: []int{2, 1}, Parameters: size}},
		Parameters: map[string]any{"binary_data_output": true}})
	must(err)
	var body bytes.Buffer
	body.Write(head)
	must(binary.Write(&body, binary.LittleEndian, []float32{1, 2, 3, 4}))
	r, err := http.NewRequest("POST", os.Args[1]+"/v2/models/gemm/infer", &body)
	must(err)
	r.Header.Set("Authorization", "Bearer "+os.Args[2])
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Header.Set("Inference-Header-Content-Length", fmt.Sprint(len(head)))
	got, err := http.DefaultClient.Do(r)
	must(err)
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	must(err)
	var n int
	fmt.Sscan(got.Header.Get("Inference-Header-Content-Length"), &n)
	var m message
	var c float32
	must(json.Unmarshal(text[:n], &m))
	must(binary.Read(bytes.NewReader(text[n:]), binary.LittleEndian, &c))
	if got.StatusCode != 200 || m.Id != id || c != 11 {
		panic(fmt.Sprint(got.StatusCode, m, c))
	}
}

func main() {
	var all sync.WaitGroup
	for i := 0; i < 8; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			for k := 0; k < 10; k++ {
				product(fmt.Sprint(i, "-", k))
			}
		}(i)
	}
	all.Wait()
}
