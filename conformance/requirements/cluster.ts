// Requirements for the installation in Kubernetes.
import { met, type Requirement } from './requirement.ts'

const CLUSTER = 'conformance/cluster.test.ts'
const RESTART = 'conformance/cluster-restart.test.ts'
const OBJECTS = 'conformance/cluster-manifests.test.ts'
const MEMORY = 'conformance/cluster-memory.test.ts'
const MANIFESTS = 'conformance/manifests.test.ts'
const CHART = 'conformance/chart.test.ts'
const PASSWD = 'conformance/passwd.test.ts'
const DOCTOR = 'conformance/doctor.test.ts'
const CLUSTER_DOCTOR = 'conformance/cluster-doctor.test.ts'
const GUIDE = 'the Kubernetes guide'
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
    'A changed password file or connector configuration takes effect as documented, without loss of requests.',
    `${RESTART} > under load from outside > a changed password file takes effect (added users can log in`,
    `${RESTART} > a model that is added to the ConfigMap is exposed without a restart`,
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
    'K-RIGHTS-1',
    GUIDE,
    "The connector's ServiceAccount may read the InferenceServices of its namespace, and nothing else.",
    `${OBJECTS} > the connector's ServiceAccount > can read the InferenceServices of its namespace`,
    `${OBJECTS} > the connector's ServiceAccount > can read nothing else in any namespace`,
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
]
