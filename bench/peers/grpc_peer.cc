// SPDX-License-Identifier: MIT
// The gRPC peer: worker and client over a Unix socket, synchronous unary calls.
//
// grpc_peer worker SOCKET
// grpc_peer client SOCKET latency|bandwidth|gemm SIZE SECONDS
#include <grpcpp/grpcpp.h>

#include <cblas.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "bench/peers/peer.h"
#include "worker.grpc.pb.h"

namespace
{

class Service final : public peer::Worker::Service
{
	grpc::Status Multiply(grpc::ServerContext *, const peer::Product *p,
			      peer::Result *r) override
	{
		const int n = static_cast<int>(p->n());
		const size_t bytes = sizeof(float) * n * n;

		if (p->a().size() != bytes || p->b().size() != bytes)
			return {grpc::StatusCode::INVALID_ARGUMENT, "size"};
		r->mutable_c()->resize(bytes);
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n,
			    1, reinterpret_cast<const float *>(p->a().data()),
			    n, reinterpret_cast<const float *>(p->b().data()),
			    n, 0,
			    reinterpret_cast<float *>(&(*r->mutable_c())[0]),
			    n);
		return grpc::Status::OK;
	}

	grpc::Status Echo(grpc::ServerContext *, const peer::Blob *p,
			  peer::Blob *r) override
	{
		uint64_t n = 0;

		if (p->data().size() < sizeof(n))
			return {grpc::StatusCode::INVALID_ARGUMENT, "size"};
		memcpy(&n, p->data().data(), sizeof(n));
		if (n > p->data().size())
			return {grpc::StatusCode::INVALID_ARGUMENT, "size"};
		r->set_data(p->data().substr(0, n));
		return grpc::Status::OK;
	}
};

int worker(const std::string &address)
{
	Service service;
	grpc::ServerBuilder b;

	b.AddListeningPort(address, grpc::InsecureServerCredentials());
	b.SetMaxReceiveMessageSize(-1);
	b.SetMaxSendMessageSize(-1);
	b.RegisterService(&service);
	std::unique_ptr<grpc::Server> server(b.BuildAndStart());
	if (!server)
		return 1;
	server->Wait();
	return 0;
}

struct client {
	std::unique_ptr<peer::Worker::Stub> stub;
	peer::Product product;
	peer::Blob blob;
	bool gemm;
};

bool once(void *arg)
{
	auto *c = static_cast<client *>(arg);
	grpc::ClientContext context;
	grpc::Status status;

	context.set_wait_for_ready(true);
	if (c->gemm) {
		peer::Result r;

		status = c->stub->Multiply(&context, c->product, &r);
	} else {
		peer::Blob r;

		status = c->stub->Echo(&context, c->blob, &r);
	}
	if (!status.ok())
		fprintf(stderr, "%s\n", status.error_message().c_str());
	return status.ok();
}

} // namespace

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	const std::string address = std::string("unix:") + argv[2];
	if (strcmp(argv[1], "worker") == 0)
		return worker(address);
	if (argc != 6)
		return 2;

	const char *test = argv[3];
	const size_t size = strtoull(argv[4], nullptr, 10);
	grpc::ChannelArguments args;
	client c;

	args.SetMaxReceiveMessageSize(-1);
	args.SetMaxSendMessageSize(-1);
	c.stub = peer::Worker::NewStub(grpc::CreateCustomChannel(
		address, grpc::InsecureChannelCredentials(), args));
	c.gemm = strcmp(test, "gemm") == 0;
	if (c.gemm) {
		const std::string zeros(sizeof(float) * size * size, '\0');

		c.product.set_n(static_cast<uint32_t>(size));
		c.product.set_a(zeros);
		c.product.set_b(zeros);
	} else {
		/* One way: the answer is short. */
		const uint64_t back = strcmp(test, "latency") == 0 ? size : 8;
		std::string data(size < 8 ? 8 : size, '\0');

		memcpy(&data[0], &back, sizeof(back));
		c.blob.set_data(data);
	}
	return peer_measure(test, size, atof(argv[5]), once, &c);
}
