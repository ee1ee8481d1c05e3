// Requirements for the installation in Kubernetes.
import { met, type Requirement } from './requirement.ts'

const CLUSTER = 'conformance/cluster.test.ts'
const RESTART = 'conformance/cluster-restart.test.ts'
const OBJECTS = 'conformance/cluster-manifests.test.ts'
const KSERVE = 'conformance/cluster-kserve.test.ts'
const KUBEFLOW = 'conformance/cluster-kubeflow.test.ts'
const MESH = 'conformance/gate-policies.test.ts'
const DISCOVERY = 'conformance/cluster-discovery.test.ts'
const RULES = 'conformance/cluster-discovery-rules.test.ts'
const MEMORY = 'conformance/cluster-memory.test.ts'
const MANIFESTS = 'conformance/manifests.test.ts'
const CHART = 'conformance/chart.test.ts'
const USERS = 'conformance/broker-users.test.ts'
const PASSWD = 'conformance/passwd.test.ts'
const DOCTOR = 'conformance/doctor.test.ts'
const CLUSTER_DOCTOR = 'conformance/cluster-doctor.test.ts'
const WATCH = 'conformance/cluster-watch.test.ts'
const KUBE = 'packages/connector/src/discovery/kube'
const GUIDE = 'the Kubernetes guide'
const DECISION = 'decision 0015'
const OUTSIDE = `${CLUSTER} > from outside, %s`

/** Requirements for the installation in Kubernetes. */
export const KUBERNETES: readonly Requirement[] = [
  met(
    'K-GUIDE-1',
    GUIDE,
    'The commands of the Kubernetes guide work as printed, up to a prediction through the entry point on 5883, and include the commands of the original guide.',
    `${CLUSTER} > docs/guides/from-the-guide.md, line by line, > $line`,
    `${CLUSTER} > docs/guides/from-the-guide.md, line by line, > contains the commands of the original guide`,
    `${MANIFESTS} > the files in resources/ > use the guide's names for ConfigMaps and their keys`,
    `${MANIFESTS} > the files in resources/ > contain Traefik files that open the entry point`,
  ),
  met(
    'K-KSERVE-1',
    GUIDE,
    "The objects with which the mapping of KServe's kinds is tested equal the objects that KServe's controller 0.20.0 writes, in Standard and in Knative mode.",
    `${KSERVE} > KServe 0.20.0 in Standard mode > gives no address to an InferenceService that was never ready`,
    `${KSERVE} > KServe 0.20.0 in Standard mode > writes the addresses when the InferenceService becomes ready`,
    `${KSERVE} > KServe 0.20.0 in Standard mode > keeps the addresses when the InferenceService is not ready any more`,
    `${KSERVE} > KServe 0.20.0 in Standard mode > removes the addresses of a stopped InferenceService`,
    `${KSERVE} > KServe 0.20.0 in Standard mode > makes an InferenceService ready: %s`,
    `${KSERVE} > KServe 0.20.0 in Standard mode > reports a model that cannot be loaded`,
    `${KSERVE} > KServe 0.20.0 in Standard mode > reports a model for which there is no runtime`,
    `${KSERVE} > KServe 0.20.0 in Standard mode > makes a TrainedModel and an InferenceGraph ready`,
    `${KSERVE} > KServe 0.20.0 in Knative mode > cannot make an InferenceService ready without Knative`,
    `${KSERVE} > KServe 0.20.0 in Knative mode > writes the addresses when the Knative Service is ready`,
    `${KSERVE} > deletes a ready InferenceService`,
  ),
  met(
    'K-DISCOVERY-1',
    GUIDE,
    'An InferenceService of KServe, in Standard or Knative mode, gets a card and answers MQTT clients within a second of its readiness; within a second of its deletion, its card is cleared and it is unknown. A restart of the API server clears no card.',
    `${DISCOVERY} > an InferenceService in %s mode > gets a card and answers an MQTT client within a second of its readiness`,
    `${DISCOVERY} > an InferenceService in %s mode > loses its card within a second of its deletion, and is then unknown`,
    `${DISCOVERY} > a restart of the API server clears no card, and later changes are found`,
    `${RULES} > shows the state that the controller reports`,
  ),
  met(
    'K-DISCOVERY-2',
    GUIDE,
    "For discovery, the connector's ServiceAccount needs get, list and watch of KServe's kinds, and the API server refuses everything else. Permissions for one namespace are enough for its models.",
    `${DISCOVERY} > the connector's ServiceAccount > can read KServe's kinds, and nothing else`,
    `${DISCOVERY} > the connector's ServiceAccount > can write nothing`,
    `${RULES} > reads one namespace if its permissions end there`,
  ),
  met(
    'K-DISCOVERY-3',
    GUIDE,
    'Only objects that ask for it are exposed, under names of their own namespace; conflicts, hostile addresses and hostile annotations are refused without an effect on others. 1,000 InferenceServices are exposed and forgotten within a minute.',
    `${RULES} > exposes only objects that ask for it, and follows the annotation`,
    `${RULES} > gives each namespace its own names, and reports conflicts`,
    `${RULES} > without the controller, with statuses that a tenant has written > refuses hostile addresses of %s`,
    `${RULES} > without the controller, with statuses that a tenant has written > refuses hostile annotations`,
    `${RULES} > without the controller, with statuses that a tenant has written > exposes 1,000 InferenceServices`,
  ),
  met(
    'K-ACCESS-1',
    GUIDE,
    'Through TCP, TLS and WebSocket, a user with the right password gets a prediction; a wrong password, an unknown user and a client without a user are rejected.',
    `${OUTSIDE} > a user with the right password receives a prediction`,
    `${OUTSIDE} > %s is rejected`,
    `${OUTSIDE} > MQTT Explorer shows cards and status to a user`,
    `${OUTSIDE} > MQTT Explorer shows the messages of all users to admin`,
  ),
  met(
    'K-RESTART-1',
    GUIDE,
    'A rollout restart of connector or broker under load loses no request, whether the SDK or a raw client sends the request. A broker crash loses no SDK request.',
    `${RESTART} > under load from outside > a rollout restart of %s loses no request`,
    `${RESTART} > under load from outside > a crash of the broker loses none of the SDK's requests`,
  ),
  met(
    'K-CHANGE-1',
    GUIDE,
    'A changed password file, changed access rules and a changed connector configuration take effect without a restart: connections of unchanged users stay, and no request is lost.',
    `${RESTART} > under load from outside > a changed password file takes effect without a restart: added users can log in`,
    `${USERS} > the broker of the manifests, when its password file changes, > admits an added user`,
    `${USERS} > the broker of the manifests, when its password file changes, > applies changed access rules`,
    `${RESTART} > a model that is added to the ConfigMap is exposed without a restart`,
  ),
  met(
    'K-IDENTITY-1',
    GUIDE,
    "With client certificates, the certificate's common name is the user name; clients without a certificate of the authority are refused, and a renewed server certificate is presented without a restart.",
    `${USERS} > the broker of the manifests, with client certificates, > takes the certificate's common name as the user name`,
    `${USERS} > the broker of the manifests, with client certificates, > restricts the certificate to its own topics`,
    `${USERS} > the broker of the manifests, with client certificates, > refuses a client with %s`,
    `${USERS} > the broker of the manifests, with client certificates, > keeps the connections of certificates when users change`,
  ),
  met(
    'K-PASSWORD-1',
    GUIDE,
    'Mosquitto accepts the password files of `inferwire passwd`; `inferwire passwd` accepts those of mosquitto_passwd, and reports mistakes in them.',
    `${PASSWD} > users made by inferwire passwd > log in to Mosquitto with their %s-hashed password, and with no other password`,
    `${PASSWD} > users made by mosquitto_passwd > are verified by inferwire passwd`,
    `${PASSWD} > lint > reports exactly the users whom Mosquitto ignores`,
    `${PASSWD} > lint > reports which of two lines for the same user is ignored`,
    `${PASSWD} > lint > prints file, line and remedy`,
  ),
  met(
    'K-OBJECTS-1',
    GUIDE,
    'The chart, `inferwire manifests` and resources/ contain the same objects, and a real API server accepts all of them with strict validation.',
    `${CHART} > charts/inferwire > with %s, renders the same objects as the generator`,
    `${CHART} > charts/inferwire > passes helm lint`,
    `${MANIFESTS} > the files in resources/ > are the output of the generator`,
    `${MANIFESTS} > the files in resources/ > in overlays/%s are the output of the generator`,
    `${MANIFESTS} > inferwire manifests > prints the output of the generator`,
    `${OBJECTS} > a real API server with strict validation > accepts the generated objects with %s`,
    `${OBJECTS} > a real API server with strict validation > accepts resources/%s`,
    `${OBJECTS} > a real API server with strict validation > accepts resources/overlays/%s`,
    `${OBJECTS} > a real API server with strict validation > rejects an unknown field`,
    `${OBJECTS} > a release of the chart in a namespace that allows only restricted pods > is installed by helm`,
  ),
  met(
    'K-OBJECTS-2',
    GUIDE,
    'A chart value that does not exist or has a wrong type is rejected with its path.',
    `${CHART} > charts/inferwire > rejects %s, and the error names the value`,
  ),
  met(
    'K-POLICY-1',
    GUIDE,
    'Labels are complete, selectors match, ports exist, images are pinned, pods are restricted, and no two brokers share a volume.',
    `${MANIFESTS} > the objects > comply with the policy for the variant: %s`,
    `${MANIFESTS} > the policy > reports "%s"`,
    `${RESTART} > a second broker is not scheduled next to the first`,
  ),
  met(
    'K-MESH-1',
    GUIDE,
    'A generated AuthorizationPolicy lets the connector reach the inference paths of one model, and none of its neighbours.',
    `${MESH} > with a policy for a connector in the mesh > in Standard mode, the connector reaches`,
    `${MESH} > with a policy for a connector in the mesh > in Knative mode, the activator and the gateway reach`,
    `${MESH} > with a policy for a connector in the mesh > in ambient mode, the policy restricts only the caller`,
    `${MESH} > with a policy for a connector in the mesh > without a policy, the connector reaches a model in its own namespace`,
    `${MESH} > with a policy for the connector's token > the token reaches one model through the gateway: %s`,
    `${MESH} > the rendering of a policy > means the same as that of Istio: %s`,
  ),
  met(
    'K-MESH-2',
    GUIDE,
    'The page "Kubeflow, step by step" works line by line: a model answers an MQTT client through the gateway and the sidecar.',
    `${KUBEFLOW} > docs/guides/kubeflow.md, line by line, > $line`,
    `${KUBEFLOW} > the policy of the page does not admit the connector to a neighbour of the model`,
    `${KUBEFLOW} > the API server accepts the objects of the other ways: %s`,
  ),
  met(
    'K-RIGHTS-1',
    GUIDE,
    "Without discovery, the connector's ServiceAccount may read and write nothing.",
    `${OBJECTS} > the connector's ServiceAccount > can read nothing in any namespace without discovery`,
    `${OBJECTS} > the connector's ServiceAccount > can write nothing`,
    `${OBJECTS} > the connector's ServiceAccount > gives the connector's pods no token`,
  ),
  met(
    'K-DOCTOR-1',
    'the guide about inferwire doctor',
    '`inferwire doctor` finds each planted fault and prints its remedy, has no findings in a healthy system, changes nothing, and prints no secret.',
    `${DOCTOR} > a healthy system > has no findings, and the exit code is 0`,
    `${DOCTOR} > a healthy system > is not changed`,
    `${DOCTOR} > planted faults > %s`,
    `${DOCTOR} > the command > prints JSON for monitoring`,
    `${CLUSTER_DOCTOR} > reports that KServe is not installed`,
    `${CLUSTER_DOCTOR} > with KServe and Istio > finds nothing in a healthy cluster`,
    `${CLUSTER_DOCTOR} > with KServe and Istio > finds nothing with the connector's ServiceAccount`,
    `${CLUSTER_DOCTOR} > with KServe and Istio > reports`,
  ),
  met(
    'K-SPEED-1',
    GUIDE,
    'Traefik adds less than a millisecond to a round trip.',
    `${RESTART} > Traefik adds less than a millisecond to a round trip`,
  ),
  met(
    'K-MEMORY-1',
    GUIDE,
    'A connector with a memory limit of 96 MiB answers or rejects requests of 2 MB, and never runs out of memory.',
    `${MEMORY} > a memory limit > is enforced if this machine has control groups`,
    `${MEMORY} > a connector in > answers requests of 2 MB with replies of 2 MB`,
  ),
  met(
    'K-WATCH-1',
    DECISION,
    'After any sequence of changes, failures and chunks, discovery has the objects of the API server; a restart and a compaction lead only to the differences.',
    `${KUBE}/resource-watch.property.test.ts > the consumer has the objects of the server in the end`,
    `${WATCH} > continues after a restart of the API server`,
    `${WATCH} > lists again after a compaction (410)`,
    `${WATCH} > follows 1,000 objects that are created and deleted within a minute`,
  ),
  met(
    'K-WATCH-2',
    DECISION,
    'If the API server refuses access, fails or is unreachable, the objects stay as they were, the reason is reported, and the watch recovers by itself.',
    `${KUBE}/resource-watch-faults.test.ts > keeps the objects, and continues, after > the status %s, which it reports once as %s`,
    `${KUBE}/resource-watch-faults.test.ts > is absent after three 404 if objects are known`,
    `${WATCH} > is absent while the kind is not installed`,
    `${WATCH} > works with permissions in one namespace`,
  ),
  met(
    'K-WATCH-3',
    DECISION,
    'An object that is too large or cannot be read is skipped and reported, and does not affect other objects.',
    `${KUBE}/resource-watch-faults.test.ts > an object that is too large > is skipped in a list and in a watch`,
    `${KUBE}/resource-watch-faults.test.ts > an object that is too large > of 10 MB is skipped with the default limit`,
    `${KUBE}/resource-watch-faults.test.ts > with an object that cannot be parsed deletes only that object`,
  ),
  met(
    'K-LOGIN-1',
    DECISION,
    'The Kubernetes API is reached with the ServiceAccount of the pod or with a kubeconfig (token, token file, client certificate, exec plugin); a replaced token is used without a restart.',
    `${KUBE}/in-cluster.test.ts > uses the address, the token, the authority and the namespace of the pod`,
    `${KUBE}/kubeconfig.test.ts > merges the files of KUBECONFIG`,
    `${KUBE}/kubeconfig-target.test.ts > TLS > sends a client certificate from files`,
    `${KUBE}/kubeconfig-target.test.ts > a token > comes from a file, which is read again`,
    `${KUBE}/exec-plugin.test.ts > runs a plugin of %s once for many requests`,
    `${WATCH} > works with permissions in one namespace, and with a token that is replaced every two seconds`,
  ),
  met(
    'K-LOGIN-2',
    DECISION,
    'A kubeconfig that disables TLS checks, or uses a way to authenticate that is not supported, is refused with the reason, and no message contains a token.',
    `${KUBE}/kubeconfig-target.test.ts > refuses, with the reason, > %s`,
    `${KUBE}/kubeconfig-target.test.ts > TLS > is checked even if NODE_TLS_REJECT_UNAUTHORIZED disables the check`,
    `${KUBE}/kube-api.test.ts > an error > does not contain the token`,
    `${KUBE}/exec-plugin.test.ts > reports a plugin that %s`,
  ),
]
