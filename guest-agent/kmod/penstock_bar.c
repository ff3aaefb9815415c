/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* BAR 2 of an ivshmem device as ordinary, cached, pinnable pages. */
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/huge_mm.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/kref.h>
#include <linux/log2.h>
#include <linux/memremap.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pci.h>
#include <linux/pseudo_fs.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/version.h>

#define BAR_NAME "penstock_bar"
/* QEMU, docs/specs/ivshmem-spec. */
#define BAR_INDEX 2
/* transport/wire.h: the stamp of a region and where it lies in the BAR. */
#define STAMP_MAGIC  0x314e474552545350ULL /* "PSTREGN1" */
#define STAMP_OFFSET (2UL << 20)
#define MIN_SIZE     (6UL << 20)
/* Any number; it names the file system that holds our inodes. */
#define BAR_FS_MAGIC 0x50535442

#define PIN_LOOK_MS 10
#define PIN_TELL_MS 10000

static bool unstamped;
module_param(unstamped, bool, 0444);
MODULE_PARM_DESC(unstamped, "take ivshmem devices that carry no stamp too");

enum bar_caching { BAR_UNKNOWN, BAR_WB, BAR_WC, BAR_UC_MINUS, BAR_UC };

static const char *const caching_names[] = {
	[BAR_UNKNOWN] = "unknown", [BAR_WB] = "WB", [BAR_WC] = "WC",
	[BAR_UC_MINUS] = "UC-",    [BAR_UC] = "UC",
};

/* One device. Freed with the last of: the driver's binding, an open file. */
struct bar {
	struct kref kref;
	struct miscdevice misc;
	char name[24];
	int id;
	struct pci_dev *pdev;      /* while bound */
	struct dev_pagemap *pgmap; /* the device's */
	phys_addr_t start;
	u64 size;
	struct inode *inode;     /* owns the address space of all mappings */
	unsigned long page_size; /* of the pages, and of aligned mappings */
	enum bar_caching kernel_caching;
	atomic_t open; /* pid of who opened it, 0: nobody */
	atomic64_t faults;
	/* Faults read it, unbinding writes it; held while pages go in. */
	struct rw_semaphore lock;
	bool dead;
};

static DEFINE_IDA(bar_ids);
static struct vfsmount *bar_mount;
static int bar_mount_count;

/* ---- Inodes: a mapping of our own, which can be zapped as a whole ------- */

static int bar_init_fs_context(struct fs_context *fc)
{
	return init_pseudo(fc, BAR_FS_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type bar_fs = {
	/* No owner: every device would hold the module. Files do, and the
	 * mount goes with the last device. */
	.name = BAR_NAME,
	.init_fs_context = bar_init_fs_context,
	.kill_sb = kill_anon_super,
};

static int bar_make_inode(struct bar *b)
{
	int r = simple_pin_fs(&bar_fs, &bar_mount, &bar_mount_count);

	if (r)
		return r;
	b->inode = alloc_anon_inode(bar_mount->mnt_sb);
	if (IS_ERR(b->inode)) {
		r = PTR_ERR(b->inode);
		b->inode = NULL;
		simple_release_fs(&bar_mount, &bar_mount_count);
		return r;
	}
	b->inode->i_mode = S_IFCHR | 0600;
	/* Since 6.18, and stable kernels of that time, the core maps no large
	 * page across the end of the file. */
	i_size_write(b->inode, b->size);
	return 0;
}

static void bar_release(struct kref *kref)
{
	struct bar *b = container_of(kref, struct bar, kref);

	if (b->inode) {
		iput(b->inode);
		simple_release_fs(&bar_mount, &bar_mount_count);
	}
	if (b->id >= 0)
		ida_free(&bar_ids, b->id);
	kfree(b);
}

/* ---- Faults ------------------------------------------------------------- */

/*
 * The page goes to the core, which maps it write-back whatever the MTRRs made
 * of the kernel's own mapping, counts it, and, as the pages of a device are
 * compound ones of 2 MiB where the processor has these, maps 2 MiB at once if
 * address and offset fit. It maps the page, or drops it, after us: that is why
 * bar_remove() zaps until no page is held.
 */
static vm_fault_t bar_fault(struct vm_fault *vmf)
{
	struct bar *b = vmf->vma->vm_file->private_data;
	const u64 off = (u64)vmf->pgoff << PAGE_SHIFT;
	vm_fault_t ret = VM_FAULT_SIGBUS;

	down_read(&b->lock);
	if (!b->dead && vmf->pgoff < b->size >> PAGE_SHIFT) {
		vmf->page = pfn_to_page(PHYS_PFN(b->start + off));
		get_page(vmf->page);
		atomic64_inc(&b->faults);
		ret = 0;
	}
	up_read(&b->lock);
	return ret;
}

static unsigned long bar_page_size(struct vm_area_struct *vma)
{
	struct bar *b = vma->vm_file->private_data;

	return b->page_size;
}

static const struct vm_operations_struct bar_vm_ops = {
	.fault = bar_fault,
	.pagesize = bar_page_size,
};

/* ---- Files -------------------------------------------------------------- */

static int bar_open(struct inode *inode, struct file *file)
{
	/* misc_deregister() waits for us: b is still there. */
	struct bar *b = container_of(file->private_data, struct bar, misc);

	if (atomic_cmpxchg(&b->open, 0, task_tgid_nr(current)))
		return -EBUSY;
	kref_get(&b->kref);
	file->private_data = b;
	file->f_mapping = b->inode->i_mapping;
	return 0;
}

static int bar_close(struct inode *inode, struct file *file)
{
	struct bar *b = file->private_data;

	atomic_set(&b->open, 0);
	kref_put(&b->kref, bar_release);
	return 0;
}

static int bar_mmap(struct file *file, struct vm_area_struct *vma)
{
	const unsigned long flags = VM_DONTEXPAND | VM_DONTCOPY | VM_DONTDUMP;
	struct bar *b = file->private_data;
	const u64 n_pages = b->size >> PAGE_SHIFT;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_pgoff > n_pages || vma_pages(vma) > n_pages - vma->vm_pgoff)
		return -EINVAL;
	if (READ_ONCE(b->dead))
		return -ENODEV;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
	vma->vm_ops = &bar_vm_ops;
	return 0;
}

static const struct file_operations bar_fops = {
	.owner = THIS_MODULE,
	.open = bar_open,
	.release = bar_close,
	.mmap = bar_mmap,
	.llseek = noop_llseek,
};

/* ---- Attributes --------------------------------------------------------- */

static struct bar *dev_to_bar(struct device *dev)
{
	/* The misc core's pointer; attributes are gone before b is. */
	return container_of(dev_get_drvdata(dev), struct bar, misc);
}

static ssize_t size_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	return sysfs_emit(buf, "%llu\n", dev_to_bar(dev)->size);
}
static DEVICE_ATTR_RO(size);

static ssize_t page_size_show(struct device *dev, struct device_attribute *attr,
			      char *buf)
{
	return sysfs_emit(buf, "%lu\n", dev_to_bar(dev)->page_size);
}
static DEVICE_ATTR_RO(page_size);

/* Of mappings that users make: see bar_fault(). */
static ssize_t caching_show(struct device *dev, struct device_attribute *attr,
			    char *buf)
{
	return sysfs_emit(buf, "%s\n", caching_names[BAR_WB]);
}
static DEVICE_ATTR_RO(caching);

/* What the kernel got for its own mapping. Not WB: the firmware's MTRRs say
 * that the aperture is uncached, and some processors obey. */
static ssize_t kernel_caching_show(struct device *dev,
				   struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n",
			  caching_names[dev_to_bar(dev)->kernel_caching]);
}
static DEVICE_ATTR_RO(kernel_caching);

/* So that a second agent can name the first. */
static ssize_t owner_pid_show(struct device *dev, struct device_attribute *attr,
			      char *buf)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&dev_to_bar(dev)->open));
}
static DEVICE_ATTR_RO(owner_pid);

static ssize_t faults_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	return sysfs_emit(buf, "%lld\n",
			  (s64)atomic64_read(&dev_to_bar(dev)->faults));
}
static DEVICE_ATTR_RO(faults);

static struct attribute *bar_attrs[] = {
	&dev_attr_owner_pid.attr,
	&dev_attr_size.attr,
	&dev_attr_page_size.attr,
	&dev_attr_caching.attr,
	&dev_attr_kernel_caching.attr,
	&dev_attr_faults.attr,
	NULL,
};
ATTRIBUTE_GROUPS(bar);

/* ---- Binding ------------------------------------------------------------ */

/* Whether the device is a region, and so ours; without a trace if not. */
static bool bar_is_stamped(struct pci_dev *pdev)
{
	void __iomem *p = ioremap(
		pci_resource_start(pdev, BAR_INDEX) + STAMP_OFFSET, PAGE_SIZE);
	__le64 magic = 0;

	if (p) {
		memcpy_fromio(&magic, p, sizeof(magic));
		iounmap(p);
	}
	return le64_to_cpu(magic) == STAMP_MAGIC;
}

/* The type in the kernel's page table, by Linux' order of the PAT. */
static enum bar_caching bar_read_caching(const void *addr)
{
#ifdef CONFIG_X86
	static const enum bar_caching by_index[8] = {
		BAR_WB, BAR_WC,      BAR_UC_MINUS, BAR_UC,
		BAR_WB, BAR_UNKNOWN, BAR_UC_MINUS, BAR_UNKNOWN,
	};
	unsigned int level, i = 0;
	pte_t *pte = lookup_address((unsigned long)addr, &level);
	u64 v;

	if (!pte || !pte_present(*pte))
		return BAR_UNKNOWN;
	v = pte_val(*pte);
	if (v & _PAGE_PWT)
		i |= 1;
	if (v & _PAGE_PCD)
		i |= 2;
	if (v & (level == PG_LEVEL_4K ? _PAGE_PAT : _PAGE_PAT_LARGE))
		i |= 4;
	return by_index[i];
#else
	return BAR_UNKNOWN;
#endif
}

static int bar_take_pages(struct bar *b)
{
	struct device *dev = &b->pdev->dev;
	struct dev_pagemap *m;
	void *addr;

	/* The device's, not b's: it goes when its pages have gone. */
	m = devm_kzalloc(dev, sizeof(*m), GFP_KERNEL);
	if (!m)
		return -ENOMEM;
	m->type = MEMORY_DEVICE_GENERIC;
	m->range.start = b->start;
	m->range.end = b->start + b->size - 1;
	m->nr_range = 1;
	b->page_size = has_transparent_hugepage() ? PMD_SIZE : PAGE_SIZE;
	m->vmemmap_shift = ilog2(b->page_size) - PAGE_SHIFT;
	addr = devm_memremap_pages(dev, m);
	if (IS_ERR(addr))
		return PTR_ERR(addr);
	b->pgmap = m;
	b->kernel_caching = bar_read_caching(addr);
	return 0;
}

static struct bar *bar_new(struct pci_dev *pdev)
{
	struct bar *b = kzalloc(sizeof(*b), GFP_KERNEL);
	int r;

	if (!b)
		return ERR_PTR(-ENOMEM);
	kref_init(&b->kref);
	init_rwsem(&b->lock);
	b->pdev = pdev;
	b->start = pci_resource_start(pdev, BAR_INDEX);
	b->size = pci_resource_len(pdev, BAR_INDEX);
	b->id = ida_alloc(&bar_ids, GFP_KERNEL);
	r = b->id < 0 ? b->id : bar_make_inode(b);
	if (r) {
		kref_put(&b->kref, bar_release);
		return ERR_PTR(r);
	}
	snprintf(b->name, sizeof(b->name), "penstock%d", b->id);
	b->misc.minor = MISC_DYNAMIC_MINOR;
	b->misc.name = b->name;
	b->misc.fops = &bar_fops;
	b->misc.parent = &pdev->dev;
	b->misc.groups = bar_groups;
	b->misc.mode = 0600;
	return b;
}

static int bar_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	const u64 start = pci_resource_start(pdev, BAR_INDEX);
	const u64 len = pci_resource_len(pdev, BAR_INDEX);
	struct bar *b;
	int r;

	if (!(pci_resource_flags(pdev, BAR_INDEX) & IORESOURCE_MEM) ||
	    len < MIN_SIZE || !IS_ALIGNED(len, PMD_SIZE) ||
	    !IS_ALIGNED(start, PMD_SIZE))
		return -ENODEV;
	r = pcim_enable_device(pdev);
	if (r)
		return r;
	/* Others use such devices too, with programs of their own. */
	if (!unstamped && !bar_is_stamped(pdev)) {
		pci_info(pdev, "no Penstock region, left alone\n");
		return -ENODEV;
	}
	if (!devm_request_mem_region(&pdev->dev, start, len, BAR_NAME))
		return -EBUSY;
	b = bar_new(pdev);
	if (IS_ERR(b))
		return PTR_ERR(b);
	r = bar_take_pages(b);
	if (r == 0)
		r = misc_register(&b->misc);
	if (r) {
		kref_put(&b->kref, bar_release);
		return r;
	}
	pci_set_drvdata(pdev, b);
	pci_info(pdev, "%s: %llu MiB, pages of %lu KiB, kernel mapping %s\n",
		 b->name, b->size >> 20, b->page_size >> 10,
		 caching_names[b->kernel_caching]);
	return 0;
}

/* Whether somebody still holds a page: a pin, or a fault that was on its way
 * when the device was marked dead. */
static bool bar_is_held(struct bar *b)
{
	const unsigned long n = b->size >> PAGE_SHIFT;
	const unsigned long first = PHYS_PFN(b->start);
	const unsigned long step = 1UL << b->pgmap->vmemmap_shift;
	unsigned long i;

	for (i = 0; i < n; i += step) {
		/* One count is the page's own, as long as there is a map. */
		if (page_ref_count(pfn_to_page(first + i)) > 1)
			return true;
		if (i % (1UL << 18) == 0)
			cond_resched();
	}
	return false;
}

static void bar_remove(struct pci_dev *pdev)
{
	struct bar *b = pci_get_drvdata(pdev);
	unsigned int waited_ms = 0;

	misc_deregister(&b->misc);
	/* Pairs with the readers in the fault handlers: faults under way have
	 * put their pages in, and no new one begins. */
	down_write(&b->lock);
	WRITE_ONCE(b->dead, true);
	up_write(&b->lock);
	for (;;) {
		unmap_mapping_range(b->inode->i_mapping, 0, 0, 1);
		if (!bar_is_held(b))
			break;
		if (waited_ms % PIN_TELL_MS == 0)
			pci_info(pdev, "%s: waiting for pinned pages\n",
				 b->name);
		msleep(PIN_LOOK_MS);
		waited_ms += PIN_LOOK_MS;
	}
	pci_info(pdev, "%s: gone\n", b->name);
	kref_put(&b->kref, bar_release);
}

static const struct pci_device_id bar_ids_table[] = {
	{PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, 0x1110)},
	{},
};
MODULE_DEVICE_TABLE(pci, bar_ids_table);

static struct pci_driver bar_driver = {
	.name = BAR_NAME,
	.id_table = bar_ids_table,
	.probe = bar_probe,
	.remove = bar_remove,
};
module_pci_driver(bar_driver);

MODULE_DESCRIPTION("ivshmem BAR as cached pages that a GPU can pin");
MODULE_AUTHOR("The Penstock authors");
MODULE_LICENSE("Dual MIT/GPL");
