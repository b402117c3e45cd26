/** Our cluster's ID: only containers and networks that carry it are ever adopted or removed (decision "Names users know"). */
export const CLUSTER_LABEL = 'com.swarmd.cluster.id';
/** ID of the swarm-scoped network that an engine's network stands for. */
export const NETWORK_LABEL = 'com.swarmd.network.id';
/** Marks a container as a task, as Docker Swarm does; its value is empty. */
export const TASK_LABEL = 'com.docker.swarm.task';
/** The task's ID. */
export const TASK_ID_LABEL = 'com.docker.swarm.task.id';
/** The task's name, `service.slot.taskid`. */
export const TASK_NAME_LABEL = 'com.docker.swarm.task.name';
/** The service's ID. */
export const SERVICE_ID_LABEL = 'com.docker.swarm.service.id';
/** The service's name. */
export const SERVICE_NAME_LABEL = 'com.docker.swarm.service.name';
/** The node's ID. */
export const NODE_ID_LABEL = 'com.docker.swarm.node.id';
/** On how many networks a container must be, when it is connected to some of them only after its creation. */
export const NETWORKS_LABEL = 'com.swarmd.networks';
