// Requirements on the installation in Kubernetes: the steps of the guide and their results.
import { met, type Requirement } from './requirement.ts'

const CLUSTER = 'conformance/cluster.test.ts'
const RESTART = 'conformance/cluster-restart.test.ts'
const OBJECTS = 'conformance/cluster-manifests.test.ts'
const MEMORY = 'conformance/cluster-memory.test.ts'
const MANIFESTS = 'conformance/manifests.test.ts'
const CHART = 'conformance/chart.test.ts'
const PASSWD = 'conformance/passwd.test.ts'
const GUIDE = 'the guide in Kubernetes'
const OUTSIDE = `${CLUSTER} > from outside, %s`

/** Requirements on the installation in Kubernetes. */
export const KUBERNETES: readonly Requirement[] = [
  met(
    'K-GUIDE-1',
    GUIDE,
    'The commands of the page work as printed, up to a prediction through the entry point on 5883, and include those of the guide.',
    `${CLUSTER} > docs/guides/from-the-guide.md, line by line > $line`,
    `${CLUSTER} > docs/guides/from-the-guide.md, line by line > has the commands of the guide`,
    `${MANIFESTS} > resources/ > keep the guide's names`,
    `${MANIFESTS} > resources/ > of Traefik have the entry point`,
  ),
  met(
    'K-ACCESS-1',
    GUIDE,
    'Through TCP, TLS and WebSocket a client with the right password gets an answer; a wrong password, an unknown user and a client without a user are rejected.',
    `${OUTSIDE} > a prediction comes for a user with the right password`,
    `${OUTSIDE} > %s is refused`,
    `${OUTSIDE} > what MQTT Explorer does on connect works`,
  ),
  met(
    'K-RESTART-1',
    GUIDE,
    'A rollout restart of the connector or the broker under load loses no request of the SDK or of a raw client. A killed broker loses no request of the SDK.',
    `${RESTART} > under load from outside > a rollout restart of %s loses nothing`,
    `${RESTART} > under load from outside > a broker that is killed loses nothing of the SDK`,
  ),
  met(
    'K-CHANGE-1',
    GUIDE,
    'A change of the password file or of the connector configuration takes effect as documented and loses no request.',
    `${RESTART} > under load from outside > a changed password file loses nothing`,
    `${RESTART} > a model that is added to the ConfigMap is exposed without a restart`,
  ),
  met(
    'K-PASSWORD-1',
    GUIDE,
    'Mosquitto accepts password files of `inferwire passwd`, and Inferwire those of mosquitto_passwd. Mistakes are reported before a broker loads the file.',
    `${PASSWD} > users made by inferwire passwd > %s: log in to Mosquitto`,
    `${PASSWD} > users made by mosquitto_passwd > %j: are verified by ours`,
    `${PASSWD} > lint > finds every user whom Mosquitto drops`,
    `${PASSWD} > lint > says which of two lines for a user counts`,
    `${PASSWD} > lint > prints file, line and remedy`,
  ),
  met(
    'K-OBJECTS-1',
    GUIDE,
    'The chart, `inferwire manifests` and resources/ contain the same objects, and a real API server accepts all of them with strict validation.',
    `${CHART} > charts/inferwire > makes the same objects as the generator`,
    `${CHART} > charts/inferwire > is clean to helm lint`,
    `${MANIFESTS} > resources/ > are what the generator makes`,
    `${MANIFESTS} > resources/ > overlays/%s is what the generator makes`,
    `${MANIFESTS} > inferwire manifests > prints what the generator makes`,
    `${OBJECTS} > the API server takes, strictly, > the generated objects with %s`,
    `${OBJECTS} > the API server takes, strictly, > resources/%s`,
    `${OBJECTS} > the API server takes, strictly, > resources/overlays/%s`,
    `${OBJECTS} > the API server takes, strictly, > no field that does not exist`,
    `${OBJECTS} > helm installs broker and connector`,
  ),
  met(
    'K-OBJECTS-2',
    GUIDE,
    'An unknown chart value or a value of the wrong type is rejected with its path.',
    `${CHART} > charts/inferwire > refuses %s, and says where`,
  ),
  met(
    'K-POLICY-1',
    GUIDE,
    'Selectors match, ports exist, images are pinned, pods are restricted, and no volume is shared by two brokers.',
    `${MANIFESTS} > the objects > fit together with %s`,
    `${MANIFESTS} > the policy > catches what %s`,
    `${RESTART} > a second broker gets no place beside the first`,
  ),
  met(
    'K-RIGHTS-1',
    GUIDE,
    "The connector's ServiceAccount reads the InferenceServices of its namespace, and has no other permissions.",
    `${OBJECTS} > the connector's ServiceAccount > reads the InferenceServices of its namespace`,
    `${OBJECTS} > the connector's ServiceAccount > reads nothing else, in no namespace`,
    `${OBJECTS} > the connector's ServiceAccount > writes nothing`,
    `${OBJECTS} > the connector's ServiceAccount > is given to its pods only where it is used`,
  ),
  met(
    'K-SPEED-1',
    GUIDE,
    'Traefik adds less than a millisecond to a round trip.',
    `${RESTART} > through Traefik a round trip takes less than a millisecond more`,
  ),
  met(
    'K-MEMORY-1',
    GUIDE,
    'A connector with a memory limit of 96 MiB answers or rejects requests of 2 MB, and is never killed for lack of memory.',
    `${MEMORY} > a memory limit > is enforced where this machine has control groups`,
    `${MEMORY} > a connector in > answers requests of 2 MB with as much`,
  ),
]
