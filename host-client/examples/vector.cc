/* SPDX-License-Identifier: MIT */
/*
 * C++: a connection that closes itself, std::vector in the region, and errors
 * as exceptions. Needs C++11.
 *
 *	c++ vector.cc $(pkg-config --cflags --libs penstock) -o vector
 *	./vector ENDPOINT
 */
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>
#include <new>
#include <penstock.h>
#include <stdexcept>
#include <string>
#include <vector>

namespace region
{

class error : public std::runtime_error
{
      public:
	error(int code, const std::string &sentence)
	    : std::runtime_error(sentence), code_(code)
	{
	}
	int code() const
	{
		return code_;
	}

      private:
	int code_;
};

/* The session is gone with all its buffers: begin again. */
class lost : public error
{
      public:
	using error::error;
};

/* The call was given up. Its operation may still use its buffers. */
class timed_out : public error
{
      public:
	using error::error;
};

class connection
{
      public:
	explicit connection(
		const char *endpoint,
		std::chrono::nanoseconds patience = std::chrono::seconds(5))
	{
		struct pst_options options = PST_OPTIONS_INIT;
		char sentence[256];
		int r;

		options.flags = PST_OPEN_WAIT;
		options.timeout_ns = static_cast<uint64_t>(patience.count());
		r = pst_open(endpoint, &options, &c_, sentence,
			     sizeof(sentence));
		if (r < 0)
			throw error(r, sentence);
	}
	~connection()
	{
		pst_close(c_);
	}
	connection(const connection &) = delete;
	connection &operator=(const connection &) = delete;

	pst *get() const
	{
		return c_;
	}

	void check(int r) const
	{
		char sentence[256];

		if (r >= 0)
			return;
		pst_last_error(c_, sentence, sizeof(sentence));
		switch (r) {
		case -ENOSPC:
		case -ENOMEM:
			throw std::bad_alloc();
		case -ECONNRESET:
		case -ESTALE:
			throw lost(r, sentence);
		case -ETIMEDOUT:
			throw timed_out(r, sentence);
		default:
			throw error(r, sentence);
		}
	}

      private:
	pst *c_ = nullptr;
};

/* Memory of the region. Keeps its connection open. */
template <class T> class allocator
{
      public:
	using value_type = T;

	explicit allocator(std::shared_ptr<connection> c) : c_(std::move(c))
	{
	}
	template <class U>
	allocator(const allocator<U> &other) : c_(other.shared())
	{
	}

	T *allocate(std::size_t n)
	{
		void *p;

		if (n > SIZE_MAX / sizeof(T))
			throw std::bad_alloc();
		c_->check(pst_alloc(c_->get(), n * sizeof(T), &p));
		return static_cast<T *>(p);
	}
	/* An operation that still uses it keeps it until it is over. */
	void deallocate(T *p, std::size_t)
	{
		pst_free(c_->get(), p);
	}

	const std::shared_ptr<connection> &shared() const
	{
		return c_;
	}

      private:
	std::shared_ptr<connection> c_;
};

template <class T, class U>
bool operator==(const allocator<T> &a, const allocator<U> &b)
{
	return a.shared() == b.shared();
}

template <class T, class U>
bool operator!=(const allocator<T> &a, const allocator<U> &b)
{
	return !(a == b);
}

using floats = std::vector<float, allocator<float>>;

/* A row-major matrix. */
class matrix
{
      public:
	matrix(std::shared_ptr<connection> c, uint32_t rows, uint32_t columns)
	    : rows_(rows), columns_(columns),
	      x_(std::size_t(rows) * columns, 0.0F, allocator<float>(c))
	{
	}

	uint32_t rows() const
	{
		return rows_;
	}
	uint32_t columns() const
	{
		return columns_;
	}
	float &operator()(uint32_t i, uint32_t j)
	{
		return x_[std::size_t(i) * columns_ + j];
	}

	/* *this = a b. */
	void multiply(const matrix &a, const matrix &b,
		      std::chrono::nanoseconds timeout)
	{
		pst_gemm_args g = PST_GEMM_INIT;

		if (a.columns_ != b.rows_ || a.rows_ != rows_ ||
		    b.columns_ != columns_)
			throw std::invalid_argument("sizes do not fit");
		g.dtype = PST_F32;
		g.m = rows_;
		g.n = columns_;
		g.k = a.columns_;
		g.a = a.x_.data();
		g.b = b.x_.data();
		g.c = x_.data();
		home().check(pst_gemm(home().get(), &g,
				      static_cast<uint64_t>(timeout.count()),
				      nullptr));
	}

	/* After timed_out: until the agent does not write here any more. */
	void settle() const
	{
		home().check(
			pst_wait_buffer(home().get(), x_.data(), PST_FOREVER));
	}

	/* What nobody can change any more. Throws if the session was lost
	 * before: then the region held zeros. */
	std::vector<float> take() const
	{
		std::vector<float> result(x_.size());

		home().check(pst_take(home().get(), result.data(), x_.data(),
				      x_.size() * sizeof(float)));
		return result;
	}

      private:
	connection &home() const
	{
		return *x_.get_allocator().shared();
	}

	uint32_t rows_, columns_;
	floats x_;
};

} /* namespace region */

static std::vector<float> compute(std::shared_ptr<region::connection> c,
				  uint32_t n)
{
	region::matrix a(c, n, n), b(c, n, n), ab(c, n, n);
	uint32_t i;

	/* a turns rows round, b doubles. */
	for (i = 0; i < n; i++) {
		a(i, n - 1 - i) = 1;
		b(i, i) = 2;
		b(i, 0) += static_cast<float>(i);
	}
	try {
		ab.multiply(a, b, std::chrono::milliseconds(1));
	} catch (const region::timed_out &) {
		/* A thousandth of a second was little. */
		ab.settle();
		ab.multiply(a, b, std::chrono::minutes(1));
	}
	return ab.take();
}

static bool right(const std::vector<float> &x, uint32_t n)
{
	uint32_t i;

	for (i = 0; i + 1 < n; i++)
		if (x[std::size_t(i) * n] != static_cast<float>(n - 1 - i) ||
		    x[std::size_t(i) * n + n - 1 - i] != 2)
			return false;
	return x.size() == std::size_t(n) * n;
}

int main(int argc, char **argv)
{
	const uint32_t n = 512;
	int tries;

	if (argc != 2) {
		std::fprintf(stderr, "usage: vector ENDPOINT\n");
		return 2;
	}
	try {
		auto c = std::make_shared<region::connection>(argv[1]);

		/* A vector outlives every other name of its connection. */
		region::floats v(10, 1.0F, region::allocator<float>(c));
		for (tries = 0;; tries++) {
			try {
				if (!right(compute(c, n), n))
					throw std::logic_error("wrong");
				break;
			} catch (const region::lost &e) {
				if (tries == 10)
					throw;
				std::fprintf(stderr, "vector: %s; again\n",
					     e.what());
			}
		}
		c.reset();
		v.push_back(2);
		std::printf("%zu right elements\n", std::size_t(n) * n);
		return 0;
	} catch (const std::exception &e) {
		std::fprintf(stderr, "vector: %s\n", e.what());
		return 1;
	}
}
