// SPDX-License-Identifier: MIT
// OipClient.java URL TOKEN: products at the gateway by Java's HttpClient, which
// asks for HTTP/2 first.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;

public class OipClient {
	static final String BODY = "{\"inputs\":[{\"name\":\"A\",\"shape\":[1,2],"
		+ "\"datatype\":\"FP64\",\"data\":[1,2]},{\"name\":\"B\","
		+ "\"shape\":[2,1],\"datatype\":\"FP64\",\"data\":[3,4]}]}";

	public static void main(String[] args) throws Exception
	{
		HttpClient client = HttpClient.newHttpClient();
		URI infer = URI.create(args[0] + "/v2/models/gemm/infer");
		for (int i = 0; i < 20; i++) {
			HttpRequest r = HttpRequest.newBuilder(infer)
				.header("Authorization", "Bearer " + args[1])
				.header("Content-Type", "application/json")
				.expectContinue(i % 2 == 1)
				.POST(BodyPublishers.ofString(BODY)).build();
			HttpResponse<String> got =
				client.send(r, BodyHandlers.ofString());
			String text = got.body().replaceAll("\\s", "");
			if (got.statusCode() != 200 ||
			    !text.contains("\"data\":[11"))
				throw new Exception(got.statusCode() + text);
		}
	}
}
