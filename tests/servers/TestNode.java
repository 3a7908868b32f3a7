import com.carrotsearch.randomizedtesting.RandomizedRunner;
import com.carrotsearch.randomizedtesting.annotations.ThreadLeakScope;
import com.carrotsearch.randomizedtesting.annotations.TimeoutSuite;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.node.MockNode;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.transport.netty4.Netty4Plugin;
import org.elasticsearch.xcontent.XContentBuilder;
import org.junit.Test;
import org.junit.runner.JUnitCore;
import org.junit.runner.RunWith;
import org.junit.runner.notification.Failure;

/**
 * Runs an Elasticsearch node in this JVM: java TestNode setting=value ...
 *
 * <p>The product's own launcher needs jars that are not published. With the test framework on the class path
 * the server insists on being started below the framework's runner, hence the annotations.
 */
@RunWith(RandomizedRunner.class)
@ThreadLeakScope(ThreadLeakScope.Scope.NONE)
@TimeoutSuite(millis = 0)
public class TestNode {
    private static Settings settings;

    public static void main(String[] arguments) {
        Settings.Builder given = Settings.builder();
        for (String argument : arguments) {
            String[] parts = argument.split("=", 2);
            given.put(parts[0], parts[1]);
        }
        settings = given.build();
        for (Failure failure : JUnitCore.runClasses(TestNode.class).getFailures()) {
            System.out.println(failure.getTrace());
        }
        System.exit(1);
    }

    @Test
    public void serve() throws Exception {
        LogConfigurator.configureWithoutConfig(settings);
        // It and its subclasses name one another in their static parts: threads that meet their first error at the same moment,
        // each at another class, wait for one another for ever. It wants the logs, which are set up by now.
        Class.forName("org.elasticsearch.ElasticsearchException");
        new MockNode(settings, List.of(Netty4Plugin.class, RootPlugin.class), false, null).start();
        new CountDownLatch(1).await();
    }

    /** Answers "GET /" as the product does; the module that does it there is not published. */
    public static class RootPlugin extends Plugin implements ActionPlugin {
        @Override
        public Collection<RestHandler> getRestHandlers(
                RestHandlersServices services, Supplier<DiscoveryNodes> nodes, Predicate<NodeFeature> features) {
            return List.of(new RootHandler(services.settings()));
        }
    }

    private static class RootHandler extends BaseRestHandler {
        private final Settings settings;

        RootHandler(Settings settings) {
            this.settings = settings;
        }

        @Override
        public String getName() {
            return "root";
        }

        @Override
        public List<Route> routes() {
            return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
        }

        @Override
        protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
            return channel -> {
                XContentBuilder body = channel.newBuilder().startObject();
                body.field("name", settings.get("node.name")).field("cluster_name", settings.get("cluster.name"));
                body.startObject("version").field("number", Build.current().version()).field("build_flavor", "default").endObject();
                body.field("tagline", "You Know, for Search").endObject();
                channel.sendResponse(new RestResponse(RestStatus.OK, body));
            };
        }
    }
}
